/* Sockets that stand before their service opens: systemd's, by its name, or those of the service
 * that it replaces. Systemd's are bound by somebody else's configuration, so ours is held against
 * them. */
#include "daemon/daemon_parts.h"

#include "base/err.h"

#include <fcntl.h>
#include <libintl.h>
#include <stdio.h>

#define _(s) gettext(s)

unsigned daemon_given(struct daemon *d, const struct service_row *row, const struct running *old,
		      struct running_socket *given)
{
	unsigned count = old ? running_sockets(old, given, RUNNING_SOCKETS_MOST) : 0;

	for (unsigned i = 0; i < d->given && !old && count < RUNNING_SOCKETS_MOST; i++) {
		if (strcmp(d->given_name[i], row->name) != 0)
			continue;
		given[count] = d->given_socket[i];
		given[count].fd = fcntl(d->given_socket[i].fd, F_DUPFD_CLOEXEC, 0);
		count += given[count].fd >= 0;
	}
	return count;
}

static void daemon_put_given(struct text *t, const struct running_socket *given)
{
	if (given->unix_path[0])
		text_printf(t, "unix:%s", given->unix_path);
	else
		address_put(t, &given->address);
}

/* A service whose UDP is for the asking has been asked by whoever made the socket. */
static bool daemon_takes_datagrams(const struct configuration_service *s)
{
	return s->row->machine->datagram && !s->common.tls &&
	       (s->row->transports & SERVICE_UDP_ASKED || s->common.udp);
}

/* 0, or ERR_USAGE: the socket is of a kind that the service cannot use, or reaches further than it
 * may. */
static int daemon_judge_given(const struct configuration_service *s,
			      const struct running_socket *given, bool insecure,
			      struct daemon_trouble *trouble)
{
	char where[ADDRESS_TEXT_BYTES + sizeof given->unix_path];
	struct text t = TEXT_OVER(where);
	bool local = given->address.family == ADDRESS_UNIX;

	daemon_put_given(&t, given);
	if (given->datagram && (local || !daemon_takes_datagrams(s)))
		snprintf(trouble->message, sizeof trouble->message,
			 _("the datagram socket %s from systemd is called '%s', and that service "
			   "takes no datagrams there"),
			 where, s->row->name);
	else if (configuration_stays_home(s, insecure) && !local &&
		 !address_is_loopback(&given->address))
		snprintf(trouble->message, sizeof trouble->message,
			 _("%s on %s would take or show data beyond this machine: it needs tls = "
			   "yes and authorized_keys, or --insecure if that is meant"),
			 s->row->name, where);
	return trouble->message[0] ? ERR_USAGE : 0;
}

int daemon_check_given(const struct daemon *d, const struct configuration_service *s,
		       const struct running_socket *given, unsigned count,
		       struct daemon_trouble *trouble)
{
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++)
		if (given[i].shared)
			err = daemon_judge_given(s, &given[i], d->plan->request.insecure, trouble);
	return err;
}

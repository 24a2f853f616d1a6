/* The control socket's keeper: connections of the machine in proto/control.c, and the hub of those
 * who follow.
 *
 *   machine ── PUBLISH ─► events_publish_line
 *           ── FOLLOW ──► hub: joins        ── FOLLOWS, PIECE ─► machine
 *           ── READY ───► hub: the next piece
 *
 * Limits: 128 connections, 64 of them readers. A reader that does not read costs what its
 * connection may queue, and no more: the hub has no queues (proto/stream_hub.h). */
#include "daemon/control.h"

#include "base/count.h"
#include "base/err.h"
#include "net/listener.h"
#include "net/pump.h"
#include "proto/control.h"
#include "proto/stream_hub.h"

#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CONTROL_CONNECTIONS = 128,
	CONTROL_READERS = 64,
	CONTROL_QUEUE_BYTES = 128 * 1024,
	CONTROL_LOOP = 127, /* its machines' ids are told apart from the workers' by this */
	CONTROL_BACKLOG = 512,
};

struct control_socket {
	struct events *events;
	struct events_reader *reader; /* while somebody follows */
	struct gate *gate;
	struct pump_common *pumps;
	struct pump *pump;
	struct listener *listener;
	struct stream_hub *hub;
	struct count readers, missed; /* as the hub has them, for other threads */
	int fd;
	char path[PLACE_BYTES];
};

static void control_count(struct control_socket *c)
{
	atomic_store(&c->readers.n, stream_hub_readers(c->hub));
	atomic_store(&c->missed.n, stream_hub_missed(c->hub));
}

static void control_hand(struct control_socket *c, uint64_t to, struct bytes piece)
{
	pump_tell(c->pumps, to, &(struct message){.kind = CONTROL_PIECE, .body = piece});
}

/* Tells everybody who is ready what they lack. */
static void control_serve(struct control_socket *c)
{
	const struct moment *now = loop_now(events_loop(c->events));
	uint64_t up_to = events_newest(c->events), to;
	const struct stream_ring *ring = events_lock(c->events);
	struct bytes piece;

	while (stream_hub_next(c->hub, ring, up_to, now, &to, &piece))
		control_hand(c, to, piece);
	events_unlock(c->events);
	control_count(c);
}

static void control_woken(void *owner)
{
	struct control_socket *c = owner;

	control_serve(c);
	pump_deliver(c->pumps);
}

static void control_ready(struct control_socket *c, uint64_t id)
{
	const struct moment *now = loop_now(events_loop(c->events));
	const struct stream_ring *ring = events_lock(c->events);
	struct bytes piece;

	stream_hub_ready(c->hub, id);
	if (stream_hub_next_of(c->hub, ring, events_newest(c->events), now, id, &piece))
		control_hand(c, id, piece);
	events_unlock(c->events);
	control_count(c);
}

static void control_follow(struct control_socket *c, uint64_t id, const struct message *message)
{
	struct loop *loop = events_loop(c->events);
	uint64_t newest = events_newest(c->events);
	uint64_t since = message->number[1] ? message->number[0] : newest;

	if (since > newest) /* of another run, so all of this one is new */
		since = 0;
	if ((!c->reader && events_follow(c->events, loop, control_woken, c, &c->reader) < 0) ||
	    !stream_hub_join(c->hub, id, since, false)) {
		pump_tell(c->pumps, id, &(struct message){.kind = CONTROL_FULL});
		return;
	}
	pump_tell(c->pumps, id, &(struct message){.kind = CONTROL_FOLLOWS, .number = {newest}});
}

static void control_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct control_socket *c = owner;

	switch ((enum control_kind)message->kind) {
	case CONTROL_PUBLISH:
		events_publish_line(c->events, message->body);
		break;
	case CONTROL_FOLLOW:
		control_follow(c, from, message);
		break;
	case CONTROL_READY:
		control_ready(c, from);
		break;
	case CONTROL_GONE:
		stream_hub_leave(c->hub, from);
		if (!stream_hub_readers(c->hub)) {
			events_unfollow(c->reader);
			c->reader = NULL;
		}
		control_count(c);
		break;
	default:
		break;
	}
}

/* What the machine told before is heard before it is gone. */
static void control_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	struct control_socket *c = owner;

	pump_tell_hub(c->pump, id, &(struct message){.kind = CONTROL_GONE});
	if (gate_leave(c->gate, remote) && c->listener)
		listener_resume(c->listener);
}

static void control_accepted(void *owner, int fd, const struct address *remote,
			     const struct address *local)
{
	struct control_socket *c = owner;

	if (pump_attach(c->pump, fd, remote, local) < 0)
		gate_leave(c->gate, remote);
}

static void control_freed(void *owner)
{
	struct control_socket *c = owner;

	listener_resume(c->listener);
}

/* Whose the socket is that is in use: of the process that listens (unix(7), SO_PEERCRED). */
static int control_holder(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct text name = TEXT_OVER(sun.sun_path);
	struct ucred peer = {0};
	socklen_t len = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	text_put_string(&name, path);
	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)&sun, sizeof sun) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		peer.pid = 0;
	close(fd);
	return peer.pid;
}

/* The system's socket, root's or the user prise's, is for the group prise too. */
static void control_share(const char *path)
{
	const struct group *group = getgrnam("prise");
	bool ours = group && (geteuid() == 0 || getegid() == group->gr_gid);

	if (ours && chown(path, (uid_t)-1, group->gr_gid) == 0)
		chmod(path, 0660);
}

static int control_listen(struct control_socket *c)
{
	struct listener_bind bind = {.unix_path = c->path, .backlog = CONTROL_BACKLOG};
	struct text path = TEXT_OVER(c->path);
	bool root;
	mode_t mask;
	int err = place_control(&path);
	char *slash;

	if (err)
		return err;
	root = strcmp(c->path, "/run/prise/ctl") == 0;
	slash = strrchr(c->path, '/');
	*slash = '\0';
	err = place_make(c->path);
	if (root) /* the socket's own mode says who may use it */
		chmod(c->path, 0755);
	*slash = '/';
	if (err)
		return err;
	mask = umask(0177);
	c->fd = listener_open(&bind, NULL);
	umask(mask);
	if (c->fd < 0)
		return c->fd;
	if (root)
		control_share(c->path);
	return 0;
}

static int control_make_pump(struct control_socket *c)
{
	static const struct pump_owner calls = {.told = control_told, .closed = control_closed};
	struct pump_plan plan = {.machine = &control_machine,
				 .service = "control",
				 .level = EVENT_NOTICE,
				 .limits = {.queue_bytes = CONTROL_QUEUE_BYTES},
				 .owner_calls = &calls,
				 .owner = c};
	struct gate_limits limits = {.open = CONTROL_CONNECTIONS};
	int err = gate_create(&c->gate, &limits);

	if (!err)
		err = pump_common_create(&c->pumps, events_loop(c->events), CONTROL_LOOP);
	if (!err)
		err = pump_create(&c->pump, c->pumps, &plan);
	return err;
}

/* The connections' part of the end: who is ready hears of the last events. */
static void control_end(void *owner)
{
	struct control_socket *c = owner;

	if (!c->pumps)
		return;
	if (c->reader)
		control_woken(c);
	pump_destroy(c->pump);
	pump_common_destroy(c->pumps);
	c->pump = NULL;
	c->pumps = NULL;
}

static int control_make_hub(struct control_socket *c)
{
	struct stream_plan plan = {.form = STREAM_LINES,
				   .most = CONTROL_READERS,
				   .host = events_host(c->events)[0] ? events_host(c->events)
								     : NULL};
	void *memory = calloc(1, stream_hub_bytes(&plan));

	if (!memory)
		return ERR_MEMORY;
	c->hub = stream_hub_init(memory, &plan);
	return 0;
}

int control_open(struct control_socket **opened, struct events *events, int *pid)
{
	struct control_socket *c = calloc(1, sizeof *c);
	struct listener_plan plan;
	int err;

	*pid = 0;
	if (!c)
		return ERR_MEMORY;
	c->events = events;
	c->fd = -1;
	err = control_make_hub(c);
	if (!err)
		err = control_make_pump(c);
	if (!err)
		err = control_listen(c);
	if (err == ERR_IN_USE)
		*pid = control_holder(c->path);
	plan = (struct listener_plan){.fd = c->fd,
				      .gate = c->gate,
				      .accepted = control_accepted,
				      .freed = control_freed,
				      .owner = c,
				      .bound = {.family = ADDRESS_UNIX}};
	if (!err)
		err = listener_create(&c->listener, events_loop(events), &plan);
	if (err) {
		control_close(c);
		return err;
	}
	events_at_end(events, control_end, c);
	*opened = c;
	return 0;
}

void control_close(struct control_socket *c)
{
	if (!c)
		return;
	control_end(c);
	if (c->fd >= 0)
		unlink(c->path);
	if (c->fd >= 0 && !c->listener)
		close(c->fd);
	listener_destroy(c->listener);
	events_unfollow(c->reader);
	gate_destroy(c->gate);
	free(c->hub);
	free(c);
}

int control_descriptor(const struct control_socket *c)
{
	return c->fd;
}

const char *control_path(const struct control_socket *c)
{
	return c->path;
}

unsigned control_readers(const struct control_socket *c)
{
	return (unsigned)count_of(&c->readers);
}

uint64_t control_missed(const struct control_socket *c)
{
	return count_of(&c->missed);
}

/* Publishing. The socket is looked for at the first event, and again some seconds after it was
 * lost; a write that it takes only in part would leave half a line, so that ends it too.
 *
 * Limits: 1000 events a second, 200 at once; what is beyond is told as a `gap`. */
#include "command/publish.h"

#include "base/place.h"
#include "command/say.h"
#include "proto/control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PUBLISH_COST_US = 1000,
	PUBLISH_BURST_US = 200 * PUBLISH_COST_US,
	PUBLISH_RETRY_US = 5000000,
};

/* One command a process, so its socket is the process's own. */
static struct {
	bool open;
	int fd;
	int64_t retry_us; /* not before */
	int64_t full_us;  /* the bucket's: when it will be full again */
	uint64_t dropped;
	char host[256];
	const struct command_call *failing; /* whose errors are published */
} publisher;

static int publish_connect(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct text name = TEXT_OVER(sun.sun_path);
	int fd;

	text_put_string(&name, path);
	if (name.cut)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&sun, sizeof sun) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int publish_dial(void)
{
	char path[PLACE_BYTES];
	struct text t = TEXT_OVER(path);
	int fd = place_control(&t) == 0 ? publish_connect(path) : -1;

	if (fd < 0 && !getenv("XDG_STATE_HOME"))
		fd = publish_connect("/run/prise/ctl");
	return fd;
}

static void publish_open(int64_t now_us)
{
	if (publisher.open || now_us < publisher.retry_us)
		return;
	publisher.retry_us = now_us + PUBLISH_RETRY_US;
	publisher.fd = publish_dial();
	publisher.open = publisher.fd >= 0;
	if (publisher.open && gethostname(publisher.host, sizeof publisher.host - 1) < 0)
		publisher.host[0] = '\0';
}

static bool publish_is_too_fast(int64_t now_us)
{
	if (publisher.full_us < now_us)
		publisher.full_us = now_us;
	if (publisher.full_us + PUBLISH_COST_US > now_us + PUBLISH_BURST_US)
		return true;
	publisher.full_us += PUBLISH_COST_US;
	return false;
}

static void publish_write(const struct event *e)
{
	char line[CONTROL_LINE_BYTES];
	struct text t = TEXT_OVER(line);
	ssize_t sent;

	event_put_json(&t, e, publisher.host[0] ? publisher.host : NULL);
	if (t.cut) {
		publisher.dropped++;
		return;
	}
	sent = send(publisher.fd, t.data, t.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent == (ssize_t)t.len)
		return;
	publisher.dropped++;
	if (sent < 0 && errno == EAGAIN)
		return;
	close(publisher.fd);
	publisher.open = false;
}

static void publish_gap(const char *service, int64_t now_us)
{
	struct event e;

	event_init(&e, EVENT_WARNING, "gap", service, now_us);
	event_uint(&e, "dropped", publisher.dropped);
	publisher.dropped = 0;
	publish_write(&e);
}

void publish_event(const struct command_call *call, const struct event *event)
{
	int64_t now_us = event->wall_us;

	if (call->common.no_publish)
		return;
	publish_open(now_us);
	if (!publisher.open)
		return;
	if (publish_is_too_fast(now_us)) {
		publisher.dropped++;
		return;
	}
	if (publisher.dropped)
		publish_gap(event->service, now_us);
	if (publisher.open)
		publish_write(event);
}

void publish_and_say(const struct command_call *call, const struct event *event)
{
	publish_event(call, event);
	if (call->common.json)
		say_event(event);
}

void publish_errors(const struct command_call *call)
{
	bool speaks = call && call->command->takes & COMMAND_TAKES_FAMILY;

	publisher.failing = speaks ? call : NULL;
}

void publish_error(const struct event *event)
{
	if (publisher.failing)
		publish_event(publisher.failing, event);
}

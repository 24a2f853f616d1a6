/* prise watch: every change of directories, to a server that keeps them (`prise serve collect`), or
 * shown here.
 *
 *   engine (watch_engine.c), a thread ──► spool ──► watch_send.c ──► server
 *                                 └────► stdout (--local, --json) */
#include "command/watch.h"

#include "base/place.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option options[] = {
	{.name = "to",
	 .type = OPTION_TEXT,
	 .argument = N_("HOST[:PORT]"),
	 .offset = offsetof(struct watch_options, to),
	 .help = N_("the server that collects; 9002 unless told")},
	{.name = "local",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct watch_options, local),
	 .help = N_("print changes from now on; no server")},
	{.name = "include",
	 .type = OPTION_LIST,
	 .argument = N_("PATTERN"),
	 .offset = offsetof(struct watch_options, include),
	 .help = N_("take these files in after all; without --exclude, these alone")},
	{.name = "exclude",
	 .type = OPTION_LIST,
	 .argument = N_("PATTERN"),
	 .offset = offsetof(struct watch_options, exclude),
	 .help = N_("leave these out; patterns as in a .gitignore")},
	{.name = "hash",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct watch_options, hash),
	 .help = N_("add the SHA-256 of each file of up to 1 GiB that was created or modified")},
	{.name = "settle",
	 .type = OPTION_DURATION,
	 .argument = "DUR",
	 .fallback = "1s",
	 .least = 10,
	 .offset = offsetof(struct watch_options, settle_ms),
	 .help = N_("tell of a file that stays open for writing after DUR")},
	{.name = "source",
	 .type = OPTION_CHOICE,
	 .argument = "SOURCE",
	 .choices = "best fanotify inotify poll",
	 .fallback = "best",
	 .offset = offsetof(struct watch_options, source),
	 .help = N_("fanotify, inotify or poll; best: the first of them that works here")},
	{.name = "poll",
	 .type = OPTION_DURATION,
	 .argument = "DUR",
	 .fallback = "10s",
	 .least = 100,
	 .offset = offsetof(struct watch_options, poll_ms),
	 .help = N_("look this often at what tells nothing (NFS, SMB, ...)")},
	{.name = "spool",
	 .type = OPTION_SIZE,
	 .argument = N_("SIZE"),
	 .fallback = "256M",
	 .least = 1 << 20,
	 .offset = offsetof(struct watch_options, spool_bytes),
	 .help = N_("what may wait on disk for the server")},
	OPTION_END,
};

void watch_end(struct watch *w, int code)
{
	if (w->over)
		return;
	w->over = true;
	w->code = code;
	w->retry_due = true;
	if (w->printer != NULL)
		printer_leave(w->printer);
	if (w->given->local)
		loop_stop(w->loop);
	else
		watch_send_leave(w);
}

static void watch_caught(void *owner, int signal_number)
{
	struct watch *w = owner;

	if (w->signal_number != 0)
		_exit(128 + signal_number); /* what is committed is safe */
	w->signal_number = signal_number;
	watch_end(w, 128 + signal_number);
}

int watch_say_state(const struct watch *w, int err)
{
	char text[PATH_MAX + 128];

	if (err != ERR_PROTOCOL)
		return say_error(SAY_FILE, w->state, err);
	snprintf(text, sizeof text, _("%s was damaged meanwhile"), w->state);
	return say_told(w->state, ERR_DISK, text,
			_("the same again: it is then kept beside as .damaged, and begun anew"));
}

static void watch_failed(void *owner, int err)
{
	struct watch *w = owner;

	watch_end(w, watch_say_state(w, err));
}

static void watch_watching(void *owner, unsigned root, enum source_way way)
{
	const struct watch *w = owner;

	char shown[4 * PATH_MAX];
	struct text path = TEXT_OVER(shown);

	text_put_visible(&path, bytes_of_string(w->root[root]), false);
	say_note(_("watching %s (%s)"), shown, source_way_name(way));
}

/* What is to be watched. */

static bool is_beneath(const char *path, const char *root)
{
	size_t len = strlen(root);

	return strncmp(path, root, len) == 0 && (path[len] == '\0' || path[len] == '/' || len == 1);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int say_no_directory(const char *path)
{
	char text[PATH_MAX + 128];

	snprintf(text, sizeof text, _("%s is no directory"), path);
	return say_told(path, ERR_NO_FILE, text,
			_("the directory that it stands in, with --include"));
}

static int take_roots(struct watch *w)
{
	const struct command_call *call = w->call;
	struct stat status;

	if (call->argc == 0)
		return say_usage(_("prise watch DIR --local"), _("name a directory to watch"));
	if (call->argc > WATCH_TREES_MOST)
		return say_usage(_("a directory above them"), _("more than %d directories"),
				 WATCH_TREES_MOST);
	for (int i = 0; i < call->argc; i++) {
		w->root[i] = realpath(call->argv[i], NULL);
		if (w->root[i] == NULL)
			return say_error(SAY_FILE, call->argv[i], err_from_errno(errno));
		w->roots++;
		if (stat(w->root[i], &status) == 0 && !S_ISDIR(status.st_mode))
			return say_no_directory(call->argv[i]);
	}
	for (unsigned i = 0; i < w->roots; i++)
		for (unsigned j = 0; j < w->roots; j++)
			if (i != j && is_beneath(w->root[i], w->root[j]))
				return say_usage(_("the upper one alone"),
						 _("%s is watched with %s already"), call->argv[i],
						 call->argv[j]);
	qsort(w->root, w->roots, sizeof w->root[0], by_path);
	return 0;
}

static unsigned take_patterns(const struct option_list *list, struct ignore_pattern *pattern)
{
	unsigned count = 0;

	for (unsigned i = 0; i < list->count; i++)
		count += ignore_parse(bytes_of_string(list->item[i]), &pattern[count]);
	return count;
}

/* FNV-1a (Fowler, Noll, Vo): tells the watches of one user apart. */
static uint64_t fingerprint(uint64_t hash, const char *s)
{
	do {
		hash = (hash ^ (uint8_t)*s) * 0x100000001b3u;
	} while (*s++ != '\0');
	return hash;
}

/* As it is found among what is watched. */
static int without_links(char path[static PATH_MAX])
{
	char real[PATH_MAX];

	if (realpath(path, real) == NULL)
		return err_from_errno(errno);
	memcpy(path, real, strlen(real) + 1);
	return 0;
}

/* One database a set of trees, in whatever order, and a server, where the state is; a local one has
 * no name. */
static int find_state(struct watch *w)
{
	struct text path = TEXT_OVER(w->state);
	uint64_t hash = fingerprint(0xcbf29ce484222325u, w->client.where);
	int err;

	if (w->given->local) {
		text_put_string(&path, _("temporary file"));
		return 0;
	}
	err = place_state(&path);
	if (err == ERR_NO_FILE)
		return say_told("", err,
				_("no variable says where to keep what waits for the server"),
				_("HOME or XDG_STATE_HOME, set"));
	for (unsigned i = 0; i < w->roots; i++)
		hash = fingerprint(hash, w->root[i]);
	text_put_string(&path, "/watch");
	if (err == 0 && !path.cut)
		err = place_make(w->state);
	if (err == 0 && !path.cut)
		err = without_links(w->state);
	path.len = strlen(w->state);
	text_printf(&path, "/%016" PRIx64 ".db", hash);
	if (err == 0 && path.cut)
		err = ERR_TOO_LONG;
	return err != 0 ? say_error(SAY_FILE, w->state, err) : 0;
}

/* The engine. */

static int say_not_started(const struct watch *w, unsigned bad, int err, const char *why)
{
	char text[PATH_MAX + 128];

	if (why[0] != '\0')
		say_note("%s", why);
	if (err == ERR_IN_USE) {
		snprintf(text, sizeof text, _("another prise watches %s for this server"),
			 w->root[0]);
		return say_told(w->state, err, text, _("one of the two alone"));
	}
	if (why[0] != '\0')
		return say_error(SAY_FILE, w->state, err);
	if (err == ERR_FULL)
		return say_error_try(SAY_FILE, w->root[bad], err,
				     _("`sysctl fs.inotify.max_user_instances=512` as root"));
	if (err == ERR_PERMISSION && w->given->source == SOURCE_FANOTIFY)
		return say_error_try(SAY_FILE, "fanotify", err,
				     _("--source best, or as root: it wants CAP_SYS_ADMIN"));
	if (err == ERR_SYSTEM && w->given->source != SOURCE_BEST)
		return say_error_try(SAY_FILE, w->root[bad], err, _("--source best"));
	return say_error(SAY_FILE, w->root[bad], err);
}

static int start_engine(struct watch *w)
{
	struct watch_engine_plan plan = {.root = w->root,
					 .roots = w->roots,
					 .state = w->given->local ? NULL : w->state,
					 .passing = w->given->local,
					 .hash = w->given->hash,
					 .way = (enum source_way)w->given->source,
					 .poll_ms = w->given->poll_ms,
					 .settle_ms = w->given->settle_ms,
					 .spool_bytes = w->given->spool_bytes,
					 .exclude = w->exclude,
					 .excludes = w->excludes,
					 .include = w->include,
					 .includes = w->includes,
					 .watching = watch_watching,
					 .failed = watch_failed,
					 .owner = w,
					 .loop = w->loop};
	char why[WATCH_WHY_BYTES];
	unsigned bad = 0;
	int err;

	if (w->given->local || w->call->common.json) {
		plan.changed = watch_show_change;
		plan.rested = watch_show_rested;
	}
	if (!w->given->local) {
		plan.committed = watch_send_committed;
		plan.resumed = watch_send_resumed;
	}
	err = watch_engine_start(&w->engine, &plan, &bad, why);
	return err != 0 ? say_not_started(w, bad, err, why) : 0;
}

static int watch_server(struct watch *w)
{
	int err;

	memcpy(w->settings.instance, watch_engine_instance(w->engine), sizeof w->settings.instance);
	w->settings.host = w->host;
	err = spool_open(&w->spool, w->state);
	if (err != 0)
		return watch_say_state(w, err);
	return watch_send(w);
}

static int watch_go(struct watch *w)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	int code = find_state(w), err;

	if (code != 0)
		return code;
	loop_raise_descriptors(); /* directories stay open */
	err = loop_signals(w->loop, signals, 3, watch_caught, w);
	if (err != 0)
		return say_error(SAY_RUN, "watch", err);
	if (w->given->local || w->call->common.json)
		err = watch_print_begin(w);
	if (err != 0)
		return say_error(SAY_RUN, "watch", err);
	code = start_engine(w);
	if (code != 0) {
		watch_print_end(w);
		return code;
	}
	watch_show_begin(w);
	if (w->given->local)
		loop_run(w->loop);
	else
		w->code = watch_server(w);
	watch_show_end(w);
	watch_send_close(w); /* first, so that the last handle is one that may write */
	watch_engine_stop(w->engine);
	watch_print_end(w);
	return say_end(w->code);
}

/* With a server, its address is the one word that the client's part knows. */
static int open_loop(struct watch *w)
{
	int taken, err;

	if (!w->given->local) {
		w->to_call = *w->call;
		w->to_word[0] = (char *)w->given->to;
		w->to_call.argc = 1;
		w->to_call.argv = w->to_word;
		err = client_open(&w->client, &w->to_call, FEED_PORT, false, &taken);
		w->loop = w->client.loop;
		return err;
	}
	signal(SIGPIPE, SIG_IGN);
	err = loop_create(&w->loop);
	return err != 0 ? say_error(SAY_RUN, "watch", err) : 0;
}

static void watch_free(struct watch *w)
{
	if (!w->given->local)
		client_close(&w->client);
	else
		loop_destroy(w->loop);
	for (unsigned i = 0; i < w->roots; i++)
		free((char *)w->root[i]);
	free(w);
}

/* The protocol wants UTF-8. */
static void take_host(struct watch *w)
{
	char host[WATCH_HOST_BYTES / 4] = "";
	struct text shown = TEXT_OVER(w->host);

	gethostname(host, sizeof host - 1);
	text_put_visible(&shown, bytes_of_string(host), false);
}

static int watch_run(struct command_call *call)
{
	const struct watch_options *given = call->options;
	struct watch *w;
	int code;

	if (given->local && (call->common.tls || call->common.timeout_ms != 0 || call->common.v4 ||
			     call->common.v6))
		return say_usage(_("--to HOST in place of --local"),
				 _("--local has no server to talk to"));
	if (given->local == (given->to != NULL))
		return say_usage(_("prise watch DIR --to HOST, or prise watch DIR --local"),
				 given->local ? _("--local has no server: leave --to out")
					      : _("name a server, or print changes here"));
	w = calloc(1, sizeof *w);
	if (w == NULL)
		return say_error(SAY_RUN, "watch", ERR_MEMORY);
	w->call = call;
	w->given = given;
	take_host(w);
	w->excludes = take_patterns(&given->exclude, w->exclude);
	w->includes = take_patterns(&given->include, w->include);
	code = take_roots(w);
	if (code == 0)
		code = open_loop(w);
	if (code == 0)
		code = watch_go(w);
	watch_free(w);
	return code;
}

const struct command command_watch = {
	.name = "watch",
	.synopsis = N_("DIR... --to HOST[:PORT]\nDIR... --local"),
	.about = N_(
		"Tells a server (`prise serve collect`) every change beneath DIR: what was "
		"created, modified, deleted, moved, given other rights. Every state in which the "
		"tree settles reaches the server, and is there once; the events replayed in order "
		"give the tree. States in between may be coalesced. Where something is in doubt, "
		"because the kernel's queue ran over, or prise was not running, a gap says so, "
		"and a look at everything settles it.\n\n"
		"While the server is away changes wait in a spool on disk, also through a restart "
		"or a power cut. What is found the first time is told too.\n\n"
		"With CAP_SYS_ADMIN one fanotify mark on the filesystem tells of all directories "
		"at once; else inotify watches each; filesystems that tell nothing (NFS, SMB) are "
		"looked at from time to time. What is mounted beneath DIR is a tree of its own: "
		"name it too.\n\n"
		"With --local changes are printed from now on, and nothing is kept."),
	.examples = "prise watch . --local\n"
		    "prise watch /srv/www /etc --to collector.example --tls\n"
		    "prise watch . --local --json --exclude .git/ --exclude '*.o'\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT | COMMAND_TAKES_TLS,
	.options = options,
	.options_bytes = sizeof(struct watch_options),
	.run = watch_run,
};

/* The settler that stands in, and a tree for it (sourcing.h). */
#include "sourcing.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { POLL_MS = 20, DEADLINE_S = 10 };

static struct sourcing *world; /* what the settler's functions below are of */

static struct sourcing_told *tell(enum sourcing_what what)
{
	struct sourcing_told *told = &world->told[world->told_count % SOURCING_TOLD];

	world->told_count++;
	*told = (struct sourcing_told){.what = what};
	return told;
}

static void keep_name(char *to, struct bytes name)
{
	memcpy(to, name.data != NULL ? (const void *)name.data : "", name.len);
	to[name.len] = '\0';
}

static struct sourcing_directory *find_directory(struct sourcing *s, uint64_t inode)
{
	for (unsigned i = 0; i < s->directories; i++)
		if (s->directory[i].inode == inode)
			return &s->directory[i];
	return NULL;
}

static void come_to_know(uint64_t parent, struct bytes name, const struct settle_node *node)
{
	struct sourcing_directory *d;

	if (node->kind != CHANGE_DIRECTORY || node->foreign)
		return;
	d = find_directory(world, node->inode);
	if (d == NULL) {
		assert_true(world->directories < SOURCING_DIRECTORIES);
		d = &world->directory[world->directories++];
		d->inode = node->inode;
		d->entered = ERR_NO_FILE;
	}
	d->parent = parent;
	keep_name(d->name, name);
	if (d->entered == ERR_NO_FILE)
		sourcing_enter(world, node->inode);
}

void settle_hint(struct settle *s, const struct settle_hint *hint, const struct moment *now)
{
	struct sourcing_told *told = tell(SOURCING_HINT);
	struct settle_node node;

	(void)s;
	(void)now;
	told->directory = hint->directory;
	told->flags = hint->flags;
	told->pid = hint->pid;
	keep_name(told->name, hint->name);
	if (hint->name.len > 0 &&
	    source_eyes.look(world->source, hint->directory, hint->name, &node) == 1)
		come_to_know(hint->directory, hint->name, &node);
}

void settle_renamed(struct settle *s, const struct settle_hint *from, const struct settle_hint *to,
		    const struct moment *now)
{
	struct sourcing_told *told;

	settle_hint(s, from, now);
	settle_hint(s, to, now);
	told = tell(SOURCING_RENAMED);
	told->directory = from->directory;
	told->to_directory = to->directory;
	keep_name(told->name, from->name);
	keep_name(told->to_name, to->name);
}

static int entry(void *context, struct bytes name, const struct settle_node *node)
{
	come_to_know(*(const uint64_t *)context, name, node);
	return 0;
}

void settle_list(struct settle *s, uint64_t directory, bool deep, const struct moment *now)
{
	struct sourcing_told *told = tell(SOURCING_LIST);

	(void)s;
	(void)now;
	told->directory = directory;
	told->deep = deep;
	if (deep)
		for (unsigned i = 0; i < world->directories; i++)
			source_eyes.list(world->source, world->directory[i].inode, entry,
					 &world->directory[i].inode);
	else
		source_eyes.list(world->source, directory, entry, &directory);
}

void settle_doubt(struct settle *s, const char *why, bool reset)
{
	(void)s;
	assert_false(reset);
	keep_name(tell(SOURCING_DOUBT)->name, bytes_of_string(why));
}

uint64_t settle_due(const struct settle *s)
{
	(void)s;
	return MOMENT_NEVER;
}

int settle_path(struct settle *s, uint64_t directory, struct bytes name, struct text *path)
{
	const struct sourcing_directory *d = find_directory(world, directory);
	int err = 0;

	if (d == NULL)
		return ERR_NO_FILE;
	if (d->parent != 0)
		err = settle_path(s, d->parent, bytes_of_string(d->name), path);
	if (path->len > 0 && name.len > 0)
		text_put_byte(path, '/');
	text_put(path, name);
	return path->cut ? ERR_TOO_LONG : err;
}

int settle_above(struct settle *s, uint64_t directory, struct settle_place *at)
{
	const struct sourcing_directory *d = find_directory(world, directory);

	(void)s;
	if (d == NULL)
		return ERR_NO_FILE;
	at->directory = d->parent;
	at->len = (uint8_t)strlen(d->name);
	memcpy(at->name, d->name, at->len + 1u);
	return 0;
}

void sourcing_enter(struct sourcing *s, uint64_t directory)
{
	struct sourcing_directory *d = find_directory(s, directory);

	if (d == NULL) {
		d = &s->directory[s->directories++];
		*d = (struct sourcing_directory){.inode = directory};
	}
	d->entered = source_eyes.enter(s->source, directory);
	source_eyes.list(s->source, directory, entry, &directory);
}

int sourcing_open(struct sourcing *s, struct source_plan *plan)
{
	int err;

	*s = (struct sourcing){.root = "/tmp/source-XXXXXX"};
	if (plan->path == NULL) {
		assert_non_null(mkdtemp(s->root));
		plan->path = s->root;
	} else {
		snprintf(s->root, sizeof(s->root), "%s", plan->path);
	}
	s->told = calloc(SOURCING_TOLD, sizeof(*s->told));
	s->directory = calloc(SOURCING_DIRECTORIES, sizeof(*s->directory));
	assert_true(s->told != NULL && s->directory != NULL);
	moment_read(&s->now);
	if (plan->poll_ms == 0)
		plan->poll_ms = POLL_MS;
	err = source_open(&s->source, plan);
	world = s;
	if (err == 0)
		source_join(s->source, NULL);
	return err;
}

bool sourcing_begin(struct sourcing *s, enum source_way way)
{
	struct source_plan plan = {.way = way};
	int err = sourcing_open(s, &plan);

	if (err == ERR_SYSTEM || err == ERR_PERMISSION) {
		print_message("no %s here (%s): skipped\n", source_way_name(way), err_text(err));
		sourcing_end(s);
		return false;
	}
	assert_int_equal(err, 0);
	assert_int_equal(source_way(s->source), way);
	return true;
}

void sourcing_end(struct sourcing *s)
{
	char command[128];

	source_close(s->source);
	free(s->told);
	free(s->directory);
	snprintf(command, sizeof(command), "rm -rf %s", s->root);
	assert_int_equal(system(command), 0);
}

void sourcing_run(struct sourcing *s, const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd %s && %s", s->root, command);
	if (system(line) != 0)
		fail_msg("%s", line);
}

uint64_t sourcing_inode(const struct sourcing *s, const char *path)
{
	char full[512];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", s->root, path);
	assert_int_equal(lstat(full, &st), 0);
	return st.st_ino;
}

int sourcing_look(struct sourcing *s, uint64_t directory, const char *name,
		  struct settle_node *node)
{
	return source_eyes.look(s->source, directory, bytes_of_string(name), node);
}

void sourcing_forget(struct sourcing *s)
{
	s->told_count = 0;
}

int sourcing_turn(struct sourcing *s, int wait_ms)
{
	struct pollfd at = {.fd = source_descriptor(s->source), .events = POLLIN};
	uint64_t due = source_due(s->source);
	int err = 0;

	moment_read(&s->now);
	if (due < s->now.boot_ns + (uint64_t)wait_ms * MOMENT_MS)
		wait_ms = due < s->now.boot_ns ? 0 : (int)((due - s->now.boot_ns) / MOMENT_MS) + 1;
	poll(&at, 1, wait_ms);
	moment_read(&s->now);
	do
		err = source_read(s->source, 100, &s->now);
	while (err == 1);
	if (err == 0 && source_due(s->source) <= s->now.boot_ns)
		err = source_tick(s->source, &s->now);
	return err;
}

bool sourcing_is_told(const struct sourcing *s, uint64_t directory, const char *name)
{
	assert_true(s->told_count <= SOURCING_TOLD);
	for (unsigned i = 0; i < s->told_count; i++) {
		const struct sourcing_told *t = &s->told[i];

		if (t->what == SOURCING_HINT && t->directory == directory &&
		    strcmp(t->name, name) == 0)
			return true;
		if (t->what == SOURCING_LIST && (t->directory == directory || t->deep))
			return true;
	}
	return false;
}

bool sourcing_await(struct sourcing *s, uint64_t directory, const char *name)
{
	uint64_t deadline;

	moment_read(&s->now);
	deadline = s->now.boot_ns + DEADLINE_S * MOMENT_S;
	while (!sourcing_is_told(s, directory, name) && s->now.boot_ns < deadline)
		if (sourcing_turn(s, 100) < 0)
			return false;
	return sourcing_is_told(s, directory, name);
}

unsigned sourcing_flags(const struct sourcing *s, uint64_t directory, const char *name)
{
	unsigned flags = 0;

	for (unsigned i = 0; i < s->told_count; i++)
		if (s->told[i].what == SOURCING_HINT && s->told[i].directory == directory &&
		    strcmp(s->told[i].name, name) == 0)
			flags |= s->told[i].flags;
	return flags;
}

const struct sourcing_told *sourcing_last(const struct sourcing *s, enum sourcing_what what)
{
	for (unsigned i = s->told_count; i-- > 0;)
		if (s->told[i].what == what)
			return &s->told[i];
	return NULL;
}

bool sourcing_is_entered(const struct sourcing *s, uint64_t inode)
{
	for (unsigned i = 0; i < s->directories; i++)
		if (s->directory[i].inode == inode)
			return s->directory[i].entered == 0;
	return false;
}

enum source_way sourcing_way(void **state)
{
	return *(const enum source_way *)*state;
}

bool sourcing_begin_entered(struct sourcing *s, void **state, const char *furnish)
{
	if (!sourcing_begin(s, sourcing_way(state)))
		return false;
	if (furnish != NULL)
		sourcing_run(s, furnish);
	sourcing_enter(s, sourcing_inode(s, ""));
	while (sourcing_way(state) != SOURCE_POLL && sourcing_turn(s, 0) == 0 && s->told_count > 0)
		sourcing_forget(s);
	sourcing_forget(s);
	return true;
}

void sourcing_expect(struct sourcing *s, const char *directory, const char *name)
{
	if (!sourcing_await(s, sourcing_inode(s, directory), name))
		fail_msg("%s: nothing was told of %s/%s", source_way_name(source_way(s->source)),
			 directory, name);
}

void sourcing_in_child(const struct sourcing *s, int (*work)(const struct sourcing *s))
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(work(s));
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("in the child: %d", status);
}

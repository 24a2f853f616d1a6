/* Source and settler together on a real tree, each way: several processes change it at random, and
 * when they are done and all is settled, what was told, replayed, is what stands there. The truth
 * test without disk and network. */
#include "indexing.h"

#include "kernel/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	HINTS = 4096,
	FEW_HINTS = 48, /* so that they do not fit */
	ENTRIES = INDEXING_ENTRIES,
	PROCESSES = 2,
	OPERATIONS = 400,
	PATH_BYTES = 2048,
	POLL_MS = 20,
	DEADLINE_S = 20,
};

/* What was told, replayed: what stands at which path. */
struct stood {
	char path[PATH_BYTES];
	uint8_t kind;
	uint16_t mode;
	uint64_t size;
	int64_t mtime_us;
};

struct world {
	enum source_way way;
	uint64_t seed;
	char root[64], outside[64];
	struct source *source;
	struct settle *settle;
	struct moment now;
	struct indexing index;
	struct stood stood[ENTRIES];
	unsigned stood_count;
	unsigned doubts, settled, changes;
	char fault[PATH_BYTES + 64];
};

/* Replay. */

static struct stood *stood_at(struct world *w, const char *path)
{
	for (unsigned i = 0; i < w->stood_count; i++)
		if (strcmp(w->stood[i].path, path) == 0)
			return &w->stood[i];
	return NULL;
}

static bool is_below(const char *path, const char *above)
{
	size_t len = strlen(above);

	return strncmp(path, above, len) == 0 && path[len] == '/';
}

static bool holds_something(struct world *w, const char *path)
{
	for (unsigned i = 0; i < w->stood_count; i++)
		if (is_below(w->stood[i].path, path))
			return true;
	return false;
}

static void fault(struct world *w, const char *what, const char *path)
{
	if (w->fault[0] == '\0')
		snprintf(w->fault, sizeof(w->fault), "%s: %s", what, path);
}

static void take_away(struct world *w, struct stood *stood)
{
	*stood = w->stood[--w->stood_count];
}

static void move_to(struct world *w, const char *from, const char *to)
{
	struct stood *there = stood_at(w, to);
	size_t len = strlen(from);
	char path[2 * PATH_BYTES];

	if (stood_at(w, from) == NULL)
		fault(w, "moved from where nothing stood", from);
	if (there != NULL && holds_something(w, to))
		fault(w, "moved onto a directory with something in it", to);
	if (there != NULL)
		take_away(w, there);
	for (unsigned i = 0; i < w->stood_count; i++) {
		struct stood *s = &w->stood[i];

		if (strcmp(s->path, from) != 0 && !is_below(s->path, from))
			continue;
		snprintf(path, sizeof(path), "%s%s", to, s->path + len);
		memcpy(s->path, path, PATH_BYTES);
	}
}

static void replay(struct world *w, const struct change *c, const char *path, const char *from)
{
	struct stood *there;

	if (c->type == CHANGE_MOVE)
		move_to(w, from, path);
	there = stood_at(w, path);
	if (c->type == CHANGE_DELETE) {
		if (there == NULL || holds_something(w, path))
			fault(w, "deleted, but not there or not empty", path);
		else
			take_away(w, there);
		return;
	}
	if ((there != NULL) == (c->type == CHANGE_CREATE)) {
		fault(w, "created twice, or changed and not there", path);
		return;
	}
	if (there == NULL)
		there = &w->stood[w->stood_count++];
	snprintf(there->path, sizeof(there->path), "%s", path);
	there->kind = c->kind;
	there->mode = (uint16_t)c->mode;
	there->size = c->size;
	there->mtime_us = c->mtime_us;
}

static int emit(void *owner, struct change *c, uint64_t directory, struct bytes name)
{
	struct world *w = owner;
	char path[PATH_BYTES], from[PATH_BYTES];

	(void)directory;
	(void)name;
	w->changes++;
	if (c->type == CHANGE_GAP || c->type == CHANGE_SETTLED) {
		/* A directory's own may end with its deletion. */
		bool whole = bytes_equal(c->path, bytes_of_string(w->root));

		w->doubts += whole && c->type == CHANGE_GAP;
		w->settled += whole && c->type == CHANGE_SETTLED;
		return 0;
	}
	assert_true(c->path.len < sizeof(path) && c->from.len < sizeof(from));
	snprintf(path, sizeof(path), "%.*s", (int)c->path.len, (const char *)c->path.data);
	snprintf(from, sizeof(from), "%.*s", (int)c->from.len, (const char *)c->from.data);
	if (w->stood_count == ENTRIES)
		return ERR_FULL;
	replay(w, c, path, from);
	return 0;
}

/* Changes at random. */

static unsigned draw(uint64_t *seed, unsigned below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (unsigned)((*seed >> 11) % below);
}

static void draw_path(uint64_t *seed, char *path)
{
	/* The longest is not remembered by the eyes, and such directories are looked for. */
	static const char *const names[] = {
		"a",     "b",     "c",
		"d\n\"", "e\xff", "01234567890123456789012345678901234567890123456789"};
	unsigned depth = 1 + draw(seed, 4);

	path[0] = '\0';
	for (unsigned i = 0; i < depth; i++) {
		strcat(path, i > 0 ? "/" : "");
		strcat(path, names[draw(seed, 6)]);
	}
}

static void write_to(const char *path, int flags, uint64_t *seed)
{
	char text[64];
	int fd = open(path, flags | O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

	if (fd < 0)
		return;
	memset(text, 'x', sizeof(text));
	for (unsigned i = draw(seed, 4); i > 0; i--)
		if (write(fd, text, 1 + draw(seed, 60)) < 0)
			break;
	close(fd);
}

static void make_chain(const char *top)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s", top);
	for (unsigned i = 0; i < 5; i++) {
		mkdir(path, 0755);
		strcat(path, "/a");
	}
	close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void remove_all(const char *path)
{
	char below[PATH_BYTES];
	struct dirent *d;
	DIR *dir = opendir(path);

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    strlen(path) + strlen(d->d_name) + 2 > sizeof(below))
			continue;
		strcat(strcat(strcpy(below, path), "/"), d->d_name);
		if (unlink(below) != 0)
			remove_all(below);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

static void change_once(const struct world *w, uint64_t *seed)
{
	static const char letters[] = "wwwwwadddd" /* as often as each is to be */
				      "urmmmxoiilscpf";
	char a[PATH_BYTES], b[PATH_BYTES], out[PATH_BYTES];

	draw_path(seed, a);
	draw_path(seed, b);
	snprintf(out, sizeof(out), "%s/%u", w->outside, draw(seed, 4));
	switch (letters[draw(seed, sizeof(letters) - 1)]) {
	case 'w':
		write_to(a, O_CREAT, seed);
		break;
	case 'a':
		write_to(a, draw(seed, 2) == 0 ? O_APPEND : O_TRUNC, seed);
		break;
	case 'd':
		mkdir(a, 0755);
		break;
	case 'u':
		unlink(a);
		break;
	case 'r':
		if (strlen(a) > 2)
			remove_all(a);
		break;
	case 'm':
		rename(a, b);
		break;
	case 'x':
		renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
		break;
	case 'o':
		if (strlen(a) > 2)
			rename(a, out);
		break;
	case 'i':
		rename(out, a);
		break;
	case 'l':
		link(a, b);
		break;
	case 's':
		symlink("nowhere", a);
		break;
	case 'c':
		chmod(a, 0700 + draw(seed, 64));
		break;
	case 'p':
		make_chain(a);
		break;
	case 'f':
		mkfifo(a, 0600);
		break;
	}
}

static pid_t start_changing(const struct world *w, uint64_t seed)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	if (chdir(w->root) != 0)
		_exit(1);
	for (unsigned i = 0; i < OPERATIONS; i++)
		change_once(w, &seed);
	_exit(0);
}

/* Comparison. */

static void compare_one(struct world *w, const char *path, const struct stat *st, unsigned *seen)
{
	const struct stood *there = stood_at(w, path);
	bool is_directory = S_ISDIR(st->st_mode);
	int64_t mtime_us = st->st_mtim.tv_sec * 1000000ll + st->st_mtim.tv_nsec / 1000;

	++*seen;
	if (there == NULL)
		fault(w, "was not told", path);
	else if (is_directory != (there->kind == CHANGE_DIRECTORY) ||
		 S_ISREG(st->st_mode) != (there->kind == CHANGE_FILE))
		fault(w, "is of another kind", path);
	else if (there->mode != (st->st_mode & 07777))
		fault(w, "has another mode", path);
	else if (!is_directory && there->size != (uint64_t)st->st_size)
		fault(w, "has another size", path);
	else if (!is_directory && there->mtime_us != mtime_us)
		fault(w, "has another time", path);
}

static void compare_below(struct world *w, const char *path, unsigned *seen)
{
	char below[PATH_BYTES];
	struct stat st;
	struct dirent *d;
	DIR *dir;

	if (lstat(path, &st) != 0)
		return;
	compare_one(w, path, &st, seen);
	if (!S_ISDIR(st.st_mode) || (dir = opendir(path)) == NULL)
		return;
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		strcat(strcat(strcpy(below, path), "/"), d->d_name);
		compare_below(w, below, seen);
	}
	closedir(dir);
}

/* The whole. */

static bool open_world(struct world *w, void **memory)
{
	const struct source_plan plan = {.path = w->root, .way = w->way, .poll_ms = POLL_MS};
	struct settle_holder holder = {.index = &indexing,
				       .index_owner = &w->index,
				       .eyes = &source_eyes,
				       .emit = emit,
				       .owner = w,
				       .root = bytes_of_string(w->root),
				       .settle_ns = 5 * MOMENT_MS};
	uint32_t hints = w->seed % 4 == 0 ? FEW_HINTS : HINTS;
	int err;

	assert_non_null(mkdtemp(w->root));
	assert_non_null(mkdtemp(w->outside));
	err = source_open(&w->source, &plan);
	if (err == ERR_PERMISSION || err == ERR_SYSTEM)
		return false;
	assert_int_equal(err, 0);
	holder.eyes_owner = w->source;
	*memory = malloc(settle_bytes(hints));
	assert_non_null(*memory);
	w->settle = settle_init(*memory, hints, &holder);
	source_join(w->source, w->settle);
	settle_doubt(w->settle, "start", false);
	return true;
}

static void close_world(struct world *w, void *memory)
{
	source_close(w->source);
	free(memory);
	remove_all(w->root);
	remove_all(w->outside);
}

/* One turn of the engine; whether nothing is left to do. */
static bool turn(struct world *w)
{
	struct pollfd at = {.fd = source_descriptor(w->source), .events = POLLIN};
	int more, work;

	moment_read(&w->now);
	more = source_read(w->source, 64, &w->now);
	if (more == 0 && source_due(w->source) <= w->now.boot_ns)
		more = source_tick(w->source, &w->now);
	work = settle_step(w->settle, 50, &w->now);
	if (more < 0 || work < 0)
		fault(w, "engine", err_name(more < 0 ? more : work));
	if (more != 0 || work != 0)
		return false;
	if (poll(&at, 1, settle_due(w->settle) == MOMENT_NEVER ? 0 : 1) == 1)
		return false;
	/* Beyond the look at the root, once a second, and polling: halves of renames. */
	return settle_due(w->settle) == MOMENT_NEVER &&
	       (w->way == SOURCE_POLL || source_due(w->source) > w->now.boot_ns + 10 * MOMENT_MS ||
		source_counts(w->source).unwatched > 0);
}

/* Until all is told: what is polled takes two rounds, one that began after the last change. */
static void run_until_settled(struct world *w, const pid_t *children)
{
	unsigned running = PROCESSES, rounds = w->way == SOURCE_POLL ? 2 : 1;
	uint64_t deadline, lists = 0;

	moment_read(&w->now);
	deadline = w->now.boot_ns + DEADLINE_S * MOMENT_S;
	while (w->fault[0] == '\0' && rounds > 0) {
		bool quiet = turn(w);

		while (running > 0 && waitpid(children[running - 1], NULL, WNOHANG) > 0)
			if (--running == 0)
				quiet = false;
		if (w->now.boot_ns > deadline)
			fault(w, "does not settle", "");
		if (running > 0 || !quiet)
			continue;
		if (w->way != SOURCE_POLL || settle_counts(w->settle).lists > lists)
			rounds--;
		lists = settle_counts(w->settle).lists;
	}
}

static void try_seed(enum source_way way, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	pid_t children[PROCESSES];
	void *memory = NULL;
	unsigned seen = 0;

	assert_non_null(w);
	*w = (struct world){.way = way,
			    .seed = seed,
			    .root = "/tmp/settle-XXXXXX",
			    .outside = "/tmp/settle-out-XXXXXX"};
	if (!open_world(w, &memory)) {
		close_world(w, memory);
		free(w);
		print_message("no %s here: skipped\n", source_way_name(way));
		skip();
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		children[i] = start_changing(w, seed + i + 1);
	run_until_settled(w, children);
	if (w->fault[0] == '\0')
		compare_below(w, w->root, &seen);
	if (w->fault[0] == '\0' && seen != w->stood_count)
		fault(w, "told, and not there", w->root);
	if (w->fault[0] == '\0' && w->doubts != w->settled)
		fault(w, "a doubt is not settled", w->root);
	if (w->fault[0] != '\0')
		fail_msg("%s, SEED=%#llx: %s (%u changes)", source_way_name(way),
			 (unsigned long long)seed, w->fault, w->changes);
	close_world(w, memory);
	free(w);
}

static uint64_t first_seed;
static unsigned seeds = 8;

static void test_truth(void **state)
{
	enum source_way way = *(const enum source_way *)*state;

	for (unsigned i = 0; i < seeds; i++)
		try_seed(way, first_seed + i * 1001);
}

int main(void)
{
	static enum source_way ways[] = {SOURCE_FANOTIFY, SOURCE_INOTIFY, SOURCE_POLL};
	const struct CMUnitTest tests[] = {
		{"fanotify", test_truth, NULL, NULL, &ways[0]},
		{"inotify", test_truth, NULL, NULL, &ways[1]},
		{"poll", test_truth, NULL, NULL, &ways[2]},
	};
	const char *given = getenv("SEED"), *count = getenv("SEEDS");

	first_seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)getpid() << 20;
	seeds = count != NULL ? (unsigned)strtoul(count, NULL, 10) : given != NULL ? 1 : seeds;
	print_message("%u seeds from %#llx (SEED= SEEDS= WAY= to choose)\n", seeds,
		      (unsigned long long)first_seed);
	if (getenv("WAY") != NULL)
		cmocka_set_test_filter(getenv("WAY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "settling.h"

#include <stdio.h>
#include <stdlib.h>

struct settling *w;

/* A path as told, without the root. */
static const char *below(struct bytes path)
{
	if (path.len > 200)
		return "LONG";
	return path.len > sizeof(MODEL_ROOT) - 1 ? (const char *)path.data + sizeof(MODEL_ROOT)
						 : ".";
}

static int hear(void *owner, struct change *c, uint64_t directory, struct bytes name)
{
	static const char *const words[] = {"?",    "create", "modify", "delete",
					    "move", "attrib", "gap",    "settled"};
	int err = model_emit(owner, c, directory, name);
	struct change *kept = &w->x.change[w->x.changes - 1].change;

	if (err < 0)
		return err;
	w->heard_len += (size_t)snprintf(w->heard + w->heard_len, sizeof(w->heard) - w->heard_len,
					 "%s%s %s%s%s%s%.*s", w->heard_len > 0 ? ", " : "",
					 words[c->type], c->from.len > 0 ? below(kept->from) : "",
					 c->from.len > 0 ? " " : "", below(kept->path),
					 c->why.len > 0 ? " " : "", (int)c->why.len,
					 c->why.len > 0 ? (const char *)c->why.data : "");
	return 0;
}

void settling_look_with(const struct settle_eyes *eyes)
{
	struct settle_holder holder = {
		.index = &model_index_calls,
		.index_owner = &w->x,
		.eyes = eyes,
		.eyes_owner = &w->m,
		.emit = hear,
		.owner = &w->x,
		.root = BYTES_LITERAL(MODEL_ROOT),
		.settle_ns = SETTLING_NS,
	};

	w->m.settle = settle_init(w->memory, SETTLING_HINTS, &holder);
}

void settling_begin(const char *why, bool reset)
{
	settling_look_with(&model_eyes);
	settle_doubt(w->m.settle, why, reset);
}

void settling_settle(void)
{
	do {
		while (settle_step(w->m.settle, 8, &w->m.now) == 1)
			;
	} while (model_tell(&w->m, 1000));
	model_commit(&w->x);
}

const char *settling_heard(void)
{
	settling_settle();
	model_check_index(&w->x, true);
	model_check_tree(&w->x, true);
	assert_string_equal(w->x.why, "");
	w->heard_len = 0;
	return w->heard;
}

void settling_forget(void)
{
	(void)settling_heard();
	model_pass_time(&w->m, MOMENT_S);
}

int settling_setup(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -1;
	model_init(&w->m, 1);
	model_index_init(&w->x, &w->m);
	w->m.merges = 100;
	w->m.root = true;
	w->memory = malloc(settle_bytes(SETTLING_HINTS));
	settling_begin("start", true);
	settling_forget();
	return 0;
}

int settling_setup_inotify(void **state)
{
	int r = settling_setup(state);

	w->m.way = MODEL_INOTIFY;
	w->m.root = false;
	w->m.paths = 100;
	w->m.halves = 100;
	settling_begin("start", false);
	settling_forget();
	return r;
}

int settling_teardown(void **state)
{
	(void)state;
	model_index_free(&w->x);
	model_free(&w->m);
	free(w->memory);
	free(w);
	return 0;
}

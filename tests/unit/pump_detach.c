/* net/pump: messages that are borrowed are handed over at once and in order, a connection can be
 * taken from its machine and given to another. */
#include "net/pump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { KIND_LATER = 1, KIND_NOW = 2 };

/* Tells each byte it gets, and says it back. */
static size_t teller_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct message later = {.kind = KIND_LATER}, borrowed = {.kind = KIND_NOW, .body = in};

	out_tell(out, OUT_OWNER, &later);
	out_tell_borrow(out, OUT_OWNER, &borrowed);
	out_borrow(out, in);
	return in.len;
}

static const struct machine teller_machine = {.name = "teller", .feed = teller_feed};

struct world {
	struct loop *loop;
	struct pump_common *common;
	struct pump *pump;
	int far;
	uint64_t id;
	char told[64]; /* `n` with its bytes, `l` */
	unsigned closed;
};

static void world_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct world *w = owner;
	struct text t = {.data = w->told, .len = strlen(w->told), .cap = sizeof w->told};

	assert_true(from == w->id && to == OUT_OWNER);
	text_put_byte(&t, message->kind == KIND_NOW ? 'n' : 'l');
	text_put(&t, message->body);
}

static void world_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	struct world *w = owner;

	assert_int_equal(why, 0);
	w->closed++;
}

static void world_attach(struct world *w, int fd)
{
	struct address nobody = {.family = ADDRESS_UNIX};
	int64_t id = pump_attach(w->pump, fd, &nobody, &nobody);

	assert_true(id > 1);
	w->id = (uint64_t)id;
}

static int world_begin(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct pump_owner calls = {.told = world_told, .closed = world_closed};
	struct pump_plan plan = {.machine = &teller_machine,
				 .service = "teller",
				 .level = EVENT_INFO,
				 .owner_calls = &calls,
				 .owner = w};
	int ends[2];

	assert_non_null(w);
	assert_int_equal(loop_create(&w->loop), 0);
	assert_int_equal(pump_common_create(&w->common, w->loop, 0), 0);
	assert_int_equal(pump_create(&w->pump, w->common, &plan), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	w->far = ends[1];
	world_attach(w, ends[0]);
	*state = w;
	return 0;
}

static int world_end(void **state)
{
	struct world *w = *state;

	pump_destroy(w->pump);
	pump_common_destroy(w->common);
	loop_destroy(w->loop);
	close(w->far);
	free(w);
	return 0;
}

static void expect_answer(struct world *w, const char *text)
{
	char answer[16];
	size_t len = strlen(text);

	assert_int_equal(send(w->far, text, len, 0), (ssize_t)len);
	loop_turn(w->loop, 1000);
	assert_int_equal(recv(w->far, answer, sizeof answer, 0), (ssize_t)len);
	assert_memory_equal(answer, text, len);
}

static void test_borrowed_is_told_first(void **state)
{
	struct world *w = *state;

	expect_answer(w, "ab");
	assert_string_equal(w->told, "nabl");
}

static void test_taken_and_given_back(void **state)
{
	struct world *w = *state;
	char answer[8];
	int fd;

	expect_answer(w, "a");
	fd = pump_detach(w->pump, w->id);
	assert_true(fd >= 0);
	assert_int_equal(w->closed, 1);
	assert_int_equal(pump_detach(w->pump, w->id), ERR_LEFT);
	assert_int_equal(send(w->far, "mine", 4, 0), 4); /* the stream stands, and is ours */
	assert_int_equal(recv(fd, answer, sizeof answer, 0), 4);
	world_attach(w, fd);
	expect_answer(w, "b");
	assert_string_equal(w->told, "nalnbl");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_borrowed_is_told_first, world_begin,
						world_end),
		cmocka_unit_test_setup_teardown(test_taken_and_given_back, world_begin, world_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

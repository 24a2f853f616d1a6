/* A settler on the model filesystem (tests/model_tree.h), for the tests of what exactly it tells.
 */
#ifndef TESTS_SETTLING_H
#define TESTS_SETTLING_H

#include "model_index.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SETTLING_HINTS = 64 };

#define SETTLING_NS MOMENT_S

struct settling {
	struct model m;
	struct model_index x;
	void *memory;
	char heard[8192]; /* `create a, move b c, ...` since it was last asked */
	size_t heard_len;
};

extern struct settling *w;

/* A settler that knows nothing but the index, with these eyes; one that is in doubt, too. */
void settling_look_with(const struct settle_eyes *eyes);
void settling_begin(const char *why, bool reset);

/* Until it rests. */
void settling_settle(void);
/* What was told until it rests, and that it is the tree. */
const char *settling_heard(void);
/* As that, whatever it was; a second passes. */
void settling_forget(void);

/* A kernel that tells as fanotify does, or as inotify. */
int settling_setup(void **state);
int settling_setup_inotify(void **state);
int settling_teardown(void **state);

#define SETTLING_BOTH(test)                                                       \
	cmocka_unit_test_setup_teardown(test, settling_setup, settling_teardown), \
		cmocka_unit_test_setup_teardown(test, settling_setup_inotify, settling_teardown)

#endif

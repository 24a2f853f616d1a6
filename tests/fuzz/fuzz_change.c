/* Records as a client sends them, one behind the other: what is taken says what it was made of, is
 * put again as it was, and can be shown. */
#include "proto/change.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_show(const struct change *c)
{
	static char json[CHANGE_JSON_BYTES];
	struct text t = TEXT_OVER(json);

	change_put_json(&t, c, "vega", "plain:10.0.0.1/00", 1);
	fuzz_require(!t.cut && bytes_find_byte(text_bytes(&t), '\n') == t.len - 1);
	t = TEXT_OVER(json);
	change_put_line(&t, c, NULL, -3600);
	fuzz_require(!t.cut && bytes_find_byte(text_bytes(&t), '\n') == t.len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[CHANGE_RECORD_BYTES];
	struct bytes rest = bytes_of(data, size);
	struct change c;
	const char *why;
	int len;

	while ((len = change_take(rest, &c, &why)) > 0) {
		fuzz_require(!why && change_put(again, &c) == (size_t)len);
		fuzz_require(memcmp(again, rest.data, (size_t)len) == 0);
		fuzz_show(&c);
		rest = bytes_after(rest, (size_t)len);
	}
	fuzz_require(why != NULL);
	return 0;
}

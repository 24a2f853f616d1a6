/* What some machines' settings need beyond text: the driver has it put there when it opens them.
 *
 * http, where `root` is set, has these files, all of 2026-01-01T00:00:00Z:
 *
 *   /index.html  /dir/index.html      text/html, "<h1>hello</h1>\n"
 *   /a.txt                            text/plain, "0123456789", kept with its head, ETag "a"
 *   /z.txt                            the same without a head, or as gzip "GZ"
 *   /big.bin                          100,000 bytes in a descriptor
 *   /list/                            a listing, "<ul>\n"
 *   /dir  /secret  /busy  /x/         301, 403, 503, 403; all else 404
 *
 * PUT of /denied is 403, of /full 507 at its first byte, of /later is later, of a file above 204,
 * of any other 201. Always: the assets / and /app.js (and its gzip), the host name "box", and a hub
 * that answers. */
#ifndef TESTS_FURNISH_H
#define TESTS_FURNISH_H

#include "proto/machine.h"

void furnish(const struct machine *machine, void *settings);

#endif

/* Reads one direction of HTTP/1.x as a machine, so that the driver, vectors and the fuzzer can hold
 * proto/http1.h: requests, or the responses to requests of one method. What is content goes out as
 * output. It answers nothing; the end of a message that says so is its end.
 *
 * Events: `http1.head` with method= target= or status= reason=, then minor= framing= (none, length,
 * chunked, end) length= fields= bytes= keep= continue=, and value= of the setting `field`, where
 * there is such a field, with members= for its list; `http1.end` with bytes= of content;
 * `http1.refused` with status= reason=, and then ERR_PROTOCOL. A peer that leaves within a message
 * is ERR_LEFT. */
#ifndef TESTS_HTTP1_READER_H
#define TESTS_HTTP1_READER_H

#include "proto/machine.h"

struct http1_reader_settings {
	int side; /* enum http1_side */
	const char *method, *field;
	uint64_t line_bytes, head_bytes, fields; /* tighter limits; 0: none */
};

extern const struct machine http1_reader_machine;

#endif

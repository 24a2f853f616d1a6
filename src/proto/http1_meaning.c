/* HTTP/1.x: what the fields of a head say about the message itself: how its body ends, whether the
 * connection stays, whom it is for.
 *
 * A message that could end at two places, depending on who reads it, is refused: two lengths, even
 * equal ones; a length beside a coding; a coding that is not known, or not the last. The two things
 * that RFC 9112 lets a server repair (6.3) are refused too. Of a response, which nobody reads after
 * us, equal lengths are one, and beside chunked a length says nothing.
 *
 * Source: RFC 9112 3.2, 6 and 9.3, RFC 9110 8.6 and 10.1.1. */
#include "proto/http1_parts.h"

#include "base/err.h"
#include "base/number.h"

/* The fields that count, as they were met. */
struct http1_met {
	unsigned hosts, lengths, codings;
	struct bytes host, length;
	bool differ; /* lengths */
	bool close, keep, continues;
};

static bool http1_is(struct bytes name, struct bytes lower_case)
{
	return bytes_equal_fold(name, lower_case);
}

static void http1_meet_connection(struct http1_met *met, struct bytes list)
{
	struct bytes member;

	while (http1_next_member(&list, &member)) {
		met->close |= http1_is(member, BYTES_LITERAL("close"));
		met->keep |= http1_is(member, BYTES_LITERAL("keep-alive"));
	}
}

/* By length first: few fields have one of these. */
static void http1_meet(struct http1_met *met, const struct http1_field *f)
{
	switch (f->name.len) {
	case 4:
		if (http1_is(f->name, BYTES_LITERAL("host"))) {
			met->hosts++;
			met->host = f->value;
		}
		break;
	case 6:
		if (http1_is(f->name, BYTES_LITERAL("expect")))
			met->continues |= http1_is(f->value, BYTES_LITERAL("100-continue"));
		break;
	case 10:
		if (http1_is(f->name, BYTES_LITERAL("connection")))
			http1_meet_connection(met, f->value);
		break;
	case 14:
		if (http1_is(f->name, BYTES_LITERAL("content-length"))) {
			met->differ |= met->lengths > 0 && !bytes_equal(met->length, f->value);
			met->lengths++;
			met->length = f->value;
		}
		break;
	case 17:
		met->codings += http1_is(f->name, BYTES_LITERAL("transfer-encoding"));
		break;
	default:
		break;
	}
}

static int http1_host(const struct http1_head *head, const struct http1_met *met,
		      struct http1_refusal *refusal)
{
	if (met->hosts == 0 && head->minor > 0)
		return http1_refuse(refusal, 400, N_("no Host field in HTTP/1.1"));
	if (met->hosts > 1)
		return http1_refuse(refusal, 400, N_("two Host fields"));
	if (!http1_is_host(met->host))
		return http1_refuse(refusal, 400, N_("no valid host in the Host field"));
	return 0;
}

static int http1_length(struct http1_head *head, const struct http1_met *met,
			struct http1_refusal *refusal)
{
	struct bytes list = met->length, one = list, member;
	bool differ = met->differ;
	int err;

	if (head->side == HTTP1_RESPONSE && http1_next_member(&list, &one))
		while (http1_next_member(&list, &member))
			differ |= !bytes_equal(one, member);
	if (differ || (met->lengths > 1 && head->side == HTTP1_REQUEST))
		return http1_refuse(refusal, 400, N_("two lengths"));
	err = number_parse_u64(one, &head->length);
	if (err == ERR_RANGE || (err == 0 && head->length > INT64_MAX))
		return http1_refuse(refusal, 413, N_("a length of 2^63 or more"));
	if (err < 0)
		return http1_refuse(refusal, 400, N_("a length that is not just digits"));
	head->framing = HTTP1_LENGTH;
	return 0;
}

/* What stands in all Transfer-Encoding fields, as one list. */
struct http1_codings {
	unsigned chunked, identity, other, empty;
	bool chunked_last;
};

static struct http1_codings http1_codings(const struct http1_head *head)
{
	const struct http1_field *f = NULL;
	struct http1_codings c = {0};

	while ((f = http1_next(head, f, "transfer-encoding")) != NULL) {
		struct bytes list = f->value, member;

		while (http1_next_member(&list, &member)) {
			c.chunked_last = http1_is(member, BYTES_LITERAL("chunked"));
			if (c.chunked_last)
				c.chunked++;
			else if (http1_is(member, BYTES_LITERAL("identity")))
				c.identity++;
			else if (member.len == 0)
				c.empty++;
			else
				c.other++;
		}
	}
	return c;
}

/* `identity` ended with RFC 2616, yet old servers say it, of a body that ends with them. */
static int http1_coding(struct http1_head *head, struct http1_refusal *refusal)
{
	struct http1_codings c = http1_codings(head);

	if (c.empty > 0)
		return http1_refuse(refusal, 400, N_("an empty transfer coding"));
	if (c.chunked > 1)
		return http1_refuse(refusal, 400, N_("chunked twice"));
	if (!c.chunked_last && (c.chunked > 0 || head->side == HTTP1_REQUEST))
		return http1_refuse(refusal, 400, N_("a last transfer coding that is not chunked"));
	if (c.other > 0 || (c.identity > 0 && c.chunked > 0))
		return http1_refuse(refusal, 501, N_("a transfer coding other than chunked"));
	head->framing = c.chunked > 0 ? HTTP1_CHUNKED : HTTP1_UNTIL_END;
	return 0;
}

/* Responses that have no body, whatever their fields say. */
static bool http1_is_bodiless(const struct http1_head *head, struct bytes method)
{
	return head->status < 200 || head->status == 204 || head->status == 304 ||
	       bytes_equal(method, BYTES_LITERAL("HEAD")) ||
	       (head->status < 300 && bytes_equal(method, BYTES_LITERAL("CONNECT")));
}

static int http1_frame(struct http1_head *head, const struct http1_met *met,
		       struct http1_refusal *refusal)
{
	bool response = head->side == HTTP1_RESPONSE;

	if (met->codings > 0 && met->lengths > 0 && !response)
		return http1_refuse(refusal, 400, N_("a length beside a transfer coding"));
	if (met->codings > 0 && head->minor == 0 && !response)
		return http1_refuse(refusal, 400, N_("a transfer coding in HTTP/1.0"));
	if (met->codings > 0)
		return http1_coding(head, refusal);
	if (met->lengths > 0)
		return http1_length(head, met, refusal);
	head->framing = response ? HTTP1_UNTIL_END : HTTP1_NO_BODY;
	return 0;
}

/* What follows the head of such a response is another protocol's. */
static bool http1_switches(const struct http1_head *head, struct bytes method)
{
	return head->side == HTTP1_RESPONSE &&
	       (head->status == 101 || (head->status >= 200 && head->status < 300 &&
					bytes_equal(method, BYTES_LITERAL("CONNECT"))));
}

static bool http1_stays(const struct http1_head *head, const struct http1_met *met,
			struct bytes method)
{
	if (head->framing == HTTP1_UNTIL_END || http1_switches(head, method))
		return false;
	if (head->side == HTTP1_RESPONSE && head->status < 200)
		return true; /* the final response follows */
	if (met->codings > 0 && (head->minor == 0 || met->lengths > 0))
		return false; /* whoever sends this may mean another end: RFC 9112 6.1, 6.3 */
	return !met->close && (head->minor > 0 || met->keep);
}

int http1_understand(struct http1_head *head, struct bytes method, struct http1_refusal *refusal)
{
	struct http1_met met = {0};
	int err = 0;

	head->framing = HTTP1_NO_BODY;
	head->length = 0;
	for (unsigned i = 0; i < head->fields; i++)
		http1_meet(&met, &head->field[i]);
	if (head->side == HTTP1_REQUEST)
		err = http1_host(head, &met, refusal);
	if (err == 0 && (head->side == HTTP1_REQUEST || !http1_is_bodiless(head, method)))
		err = http1_frame(head, &met, refusal);
	head->keep_alive = http1_stays(head, &met, method);
	head->expects_continue = met.continues && head->side == HTTP1_REQUEST && head->minor > 0 &&
				 (head->framing == HTTP1_CHUNKED || head->length > 0);
	return err;
}

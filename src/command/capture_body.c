/* Bodies: unpacked (decode.h), written to files under --body, kept for --har.
 *
 * A body gathers in memory and goes to its file a piece at a time, the file open only meanwhile, so
 * any number may be under way. PIECES of them have such a piece, the others are written as they
 * come; DECODERS of them are unpacked at a time, the others are left packed, and said so. Names are
 * of our making (frame, a running number, direction, the last word of the target): they never leave
 * the directory, and a file that exists is never written to. What is missing in a body is a hole of
 * zeros in its file. */
#include "command/capture_parts.h"

#include "command/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 65536, PIECES = 1024, DECODERS = 1024, WORD_BYTES = 48, FIRST_BYTES = 64 };

struct capture_body {
	struct capture *c;
	struct decode *decoder; /* NULL: it is not packed, or as nobody here knows */
	bool bad, torn, too_long;
	const char *packed; /* why it is left as it came, N_(); or NULL */
	bool created, failed;
	uint8_t first[FIRST_BYTES]; /* what the decoder took so far */
	size_t taken;
	uint64_t bytes;   /* so far, what is missing too */
	uint64_t written; /* of them, to the file */
	size_t held;      /* in `piece`, to go behind `written` */
	uint8_t *piece;   /* NULL: none so far, or it has to do without */
	uint8_t *text;    /* for a HAR */
	size_t text_len, text_room;
	bool text_cut;
	char name[CAPTURE_NAME_BYTES];
};

bool capture_body_wanted(const struct capture *c)
{
	return c->given->body != NULL || c->given->har != NULL;
}

int capture_body_begin(struct capture *c)
{
	const char *path = c->given->body;

	c->body_fd = -1;
	if (path == NULL)
		return 0;
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return say_error(SAY_FILE, path, err_from_errno(errno));
	c->body_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->body_fd >= 0)
		return 0;
	if (errno == ENOTDIR)
		return say_usage(_("a directory for the bodies, there or to be made"),
				 _("%s is no directory"), path);
	return say_error(SAY_FILE, path, err_from_errno(errno));
}

/* The first thing that goes wrong is said and decides the exit code; reading goes on. */
static void fail(struct capture_body *b, int errnum)
{
	b->failed = true;
	if (b->c->code != 0)
		return;
	if (errnum == EEXIST)
		b->c->code = say_error_try(SAY_FILE, b->name, ERR_IN_USE,
					   _("an empty directory behind --body: a file that "
					     "exists is not written over"));
	else
		b->c->code = say_error(SAY_FILE, b->name, err_from_errno(errnum));
}

static bool put_all(int fd, const uint8_t *data, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, data, len, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		data += put;
		len -= (size_t)put;
		at += (uint64_t)put;
	}
	return true;
}

/* `d` goes to the file behind what was written; at the end also the hole behind it. */
static void write_bytes(struct capture_body *b, struct bytes d, bool end)
{
	int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (b->created ? 0 : O_CREAT | O_EXCL);
	int fd;

	if (b->c->body_fd < 0 || b->failed)
		return;
	fd = openat(b->c->body_fd, b->name, flags, 0666);
	if (fd < 0) {
		fail(b, errno);
		return;
	}
	b->created = true;
	if (!put_all(fd, d.data, d.len, b->written) || (end && ftruncate(fd, (off_t)b->bytes) < 0))
		fail(b, errno);
	if (close(fd) < 0 && !b->failed)
		fail(b, errno);
	b->written += d.len;
}

/* The same with what is held. */
static void write_out(struct capture_body *b, bool end)
{
	write_bytes(b, bytes_of(b->piece, b->held), end);
	b->held = 0;
}

/* The last word of the target, of harmless characters only: `/a/b.html?x` is `b.html`. */
static void put_word(struct text *t, struct bytes line)
{
	struct bytes target = bytes_after(line, bytes_find_byte(line, ' '));
	size_t from = 0, end;

	target = bytes_strip(target);
	target = bytes_first(target, bytes_find_byte(target, ' '));
	end = bytes_find_byte(target, '?');
	target = bytes_first(target, end);
	for (size_t i = 0; i < target.len; i++)
		if (target.data[i] == '/')
			from = i + 1;
	target = bytes_first(bytes_after(target, from), WORD_BYTES);
	if (target.len > 0)
		text_put_byte(t, '-');
	for (size_t i = 0; i < target.len; i++) {
		char ch = (char)target.data[i];
		bool harmless = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
				(ch >= '0' && ch <= '9') || ch == '.' || ch == '_' || ch == '-';

		text_put_byte(t, harmless ? ch : '_');
	}
}

static void begin_decoding(struct capture_body *b, struct bytes value)
{
	enum decode_coding coding = decode_coding(value);

	if (coding == DECODE_NONE)
		return;
	if (coding == DECODE_UNKNOWN)
		b->packed = N_("left packed: prise knows gzip and deflate");
	else if (b->c->decoders == DECODERS ||
		 decode_create(&b->decoder, coding, CAPTURE_DECODED_MOST) != 0)
		b->packed = N_("left packed: too many are unpacked at a time");
	else
		b->c->decoders++;
}

static void end_decoding(struct capture_body *b)
{
	if (b->decoder == NULL)
		return;
	decode_destroy(b->decoder);
	b->decoder = NULL;
	b->c->decoders--;
}

static struct capture_body *create(struct capture *c, struct exchange *e, enum http1_side side)
{
	struct exchange_message *m = &e->message[side];
	struct capture_body *b = calloc(1, sizeof(*b));
	struct text name;

	m->kept = b;
	if (b == NULL)
		return NULL;
	b->c = c;
	begin_decoding(b, m->coding);
	name = TEXT_OVER(b->name);
	text_printf(&name, "%" PRIu64 "-%" PRIu64 "-%s", m->frame, ++c->bodies,
		    side == HTTP1_REQUEST ? "request" : "response");
	put_word(&name, e->message[HTTP1_REQUEST].line);
	return b;
}

static struct capture_body *body_of(struct capture *c, struct exchange *e, enum http1_side side)
{
	struct capture_body *b = e->message[side].kept;

	return b != NULL ? b : create(c, e, side);
}

static void keep_text(struct capture_body *b, struct bytes d)
{
	size_t room = b->text_room;

	if (b->c->given->har == NULL || b->text_cut)
		return;
	while (room < b->text_len + d.len)
		room = room == 0 ? 4096 : room * 2;
	if (b->text_len + d.len > CAPTURE_TEXT_MOST ||
	    b->c->text_bytes + room - b->text_room > CAPTURE_TEXTS_MOST) {
		b->text_cut = true;
		return;
	}
	if (room > b->text_room) {
		uint8_t *grown = realloc(b->text, room);

		b->text_cut = grown == NULL;
		if (grown == NULL)
			return;
		b->c->text_bytes += room - b->text_room;
		b->text = grown;
		b->text_room = room;
	}
	memcpy(b->text + b->text_len, d.data, d.len);
	b->text_len += d.len;
}

/* Whether it has one now. */
static bool take_piece(struct capture_body *b)
{
	if (b->piece == NULL && b->c->pieces < PIECES) {
		b->piece = malloc(PIECE_BYTES);
		b->c->pieces += b->piece != NULL ? 1 : 0;
	}
	return b->piece != NULL;
}

/* Unpacked bytes, or what came as it is. */
static int take(void *owner, struct bytes d)
{
	struct capture_body *b = owner;

	keep_text(b, d);
	b->bytes += d.len;
	if (b->failed || b->c->body_fd < 0)
		return 0;
	if (!take_piece(b)) {
		write_bytes(b, d, false);
		return 0;
	}
	while (d.len > 0) {
		struct bytes some = bytes_first(d, PIECE_BYTES - b->held);

		memcpy(b->piece + b->held, some.data, some.len);
		b->held += some.len;
		d = bytes_after(d, some.len);
		if (b->held == PIECE_BYTES)
			write_out(b, false);
	}
	return 0;
}

/* What it names as its coding is none: it is left as it came, if the beginning is still there. */
static void give_up_decoding(struct capture_body *b, struct bytes content)
{
	b->bad = true;
	if (b->bytes > 0 || b->taken > FIRST_BYTES)
		return;
	end_decoding(b);
	take(b, bytes_of(b->first, b->taken));
	take(b, content);
}

static void decode(struct capture_body *b, struct bytes content)
{
	int err = decode_put(b->decoder, content, take, b);

	b->too_long = err == ERR_TOO_LONG;
	if (err != 0 && !b->too_long)
		give_up_decoding(b, content);
	else if (b->taken + content.len <= FIRST_BYTES) {
		memcpy(b->first + b->taken, content.data, content.len);
		b->taken += content.len;
	} else
		b->taken = FIRST_BYTES + 1;
}

void capture_body_content(struct capture *c, struct exchange *e, enum http1_side side,
			  struct bytes content)
{
	struct capture_body *b = body_of(c, e, side);

	if (b == NULL || b->torn || b->too_long || (b->bad && b->decoder != NULL))
		return;
	if (b->decoder == NULL)
		take(b, content);
	else
		decode(b, content);
}

void capture_body_missing(struct capture *c, struct exchange *e, enum http1_side side,
			  uint64_t bytes)
{
	struct capture_body *b = body_of(c, e, side);

	if (b == NULL)
		return;
	b->text_cut = true;
	if (b->decoder != NULL) {
		b->torn = true; /* what follows cannot be unpacked */
		return;
	}
	if (b->held > 0)
		write_out(b, false);
	b->bytes += bytes;
	b->written = b->bytes;
}

void capture_body_end(struct capture *c, struct exchange *e)
{
	for (unsigned side = 0; side < 2; side++) {
		struct capture_body *b = e->message[side].kept;

		if (b == NULL)
			continue;
		if (b->decoder != NULL && !b->too_long && !decode_is_whole(b->decoder))
			b->bad = b->bad || e->message[side].whole;
		write_out(b, true);
	}
}

bool capture_body_text(const struct exchange_message *m, struct bytes *text)
{
	const struct capture_body *b = m->kept;

	*text = b != NULL ? bytes_of(b->text, b->text_len) : (struct bytes){0};
	return b == NULL || (!b->text_cut && !b->too_long);
}

uint64_t capture_body_decoded(const struct exchange_message *m)
{
	const struct capture_body *b = m->kept;

	return b != NULL ? b->bytes : m->content_bytes;
}

const char *capture_body_fault(const struct exchange_message *m)
{
	const struct capture_body *b = m->kept;

	if (b == NULL)
		return NULL;
	if (b->too_long)
		return N_("it unpacks to more than 1 GiB, which was left out");
	if (b->torn)
		return N_("unpacked up to where bytes are missing");
	return b->bad ? N_("it is not in the coding that it names") : b->packed;
}

void capture_body_forget(struct capture *c, struct exchange *e)
{
	for (unsigned side = 0; side < 2; side++) {
		struct capture_body *b = e->message[side].kept;

		if (b == NULL)
			continue;
		c->text_bytes -= b->text_room;
		end_decoding(b);
		c->pieces -= b->piece != NULL ? 1 : 0;
		free(b->text);
		free(b->piece);
		free(b);
		e->message[side].kept = NULL;
	}
}

void capture_body_close(struct capture *c)
{
	if (c->body_fd >= 0)
		close(c->body_fd);
	c->body_fd = -1;
}

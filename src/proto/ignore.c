/* Patterns as in a .gitignore: gitignore(5), and where that is silent git's own wildmatch, among
 * them that `**` counts as whole where the pattern's plain beginning ends (`abc**` + `/d` matches
 * abcx/y/d).
 *
 *   pattern   a / ** / *.[ch]          cut at its slashes, matched piece by piece; ** takes any
 *   path      a / b / c / main.c       number of pieces, none too, but one at least at the end
 *
 * Each piece of the pattern meets each of the path at most once (going back to the last **
 * suffices, as going back to the last * does within a piece), so time is bounded by the product of
 * lengths. */
#include "proto/ignore.h"

struct cursor {
	const uint8_t *at, *end;
};

static bool in_class(struct bytes class, uint8_t c, bool *known)
{
	static const char names[][7] = {"alnum", "alpha", "blank", "cntrl", "digit", "graph",
					"lower", "print", "punct", "space", "upper", "xdigit"};
	bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
	bool digit = c >= '0' && c <= '9', graph = c > ' ' && c < 0x7f;
	bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	const bool is[] = {lower || upper || digit,
			   lower || upper,
			   c == ' ' || c == '\t',
			   c < ' ' || c == 0x7f,
			   digit,
			   graph,
			   lower,
			   graph || c == ' ',
			   graph && !lower && !upper && !digit,
			   c == ' ' || (c >= '\t' && c <= '\r'),
			   upper,
			   hex};

	for (unsigned i = 0; i < sizeof(is) / sizeof(is[0]); i++)
		if (bytes_equal(class, bytes_of_string(names[i])))
			return is[i];
	*known = false;
	return false;
}

/* "[:name:]" with p->at behind its "[:": whether `c` is in it, and p->at at its "]". False and no
 * move when it is no such thing, but a plain "[". */
static bool take_class(struct cursor *p, uint8_t c, bool *matched, bool *malformed)
{
	struct bytes rest = {p->at, (size_t)(p->end - p->at)};
	size_t close = bytes_find_byte(rest, ']');
	bool known = true;

	if (close == rest.len) {
		*malformed = true;
		return false;
	}
	if (close == 0 || rest.data[close - 1] != ':')
		return false;
	if (in_class(bytes_first(rest, close - 1), c, &known))
		*matched = true;
	*malformed = !known;
	p->at += close;
	return true;
}

/* What stands between [ and ], with p->at behind the [: whether `c` is meant, and p->at behind the
 * ]. `malformed`: it has no end, or a class that there is not, and matches nothing. */
static bool take_set(struct cursor *p, uint8_t c, bool *malformed)
{
	bool negated = false, matched = false, first = true;
	int previous = -1; /* what a range may begin with */

	if (p->at < p->end && (*p->at == '!' || *p->at == '^')) {
		negated = true;
		p->at++;
	}
	for (; p->at < p->end && (first || *p->at != ']'); p->at++, first = false) {
		bool ranged = *p->at == '-' && previous >= 0 && p->end - p->at > 1 &&
			      p->at[1] != ']';
		int low = previous;

		p->at += ranged;
		if (p->at[0] == '[' && !ranged && p->end - p->at > 1 && p->at[1] == ':') {
			struct cursor class = {p->at + 2, p->end};

			if (take_class(&class, c, &matched, malformed)) {
				p->at = class.at;
				previous = -1;
				continue;
			}
			if (*malformed)
				return false;
		} else if (*p->at == '\\' && ++p->at == p->end) {
			break;
		}
		previous = ranged ? -1 : *p->at;
		if (ranged ? c >= low && c <= *p->at : c == *p->at)
			matched = true;
	}
	if (p->at >= p->end) {
		*malformed = true;
		return false;
	}
	p->at++;
	return matched != negated;
}

/* One element of a piece that is no *, against one byte; p->at behind it. */
static bool take_one(struct cursor *p, uint8_t c, bool *malformed)
{
	uint8_t want = *p->at++;

	if (want == '?')
		return true;
	if (want == '[')
		return take_set(p, c, malformed);
	if (want == '\\') {
		if (p->at == p->end) {
			*malformed = true;
			return false;
		}
		want = *p->at++;
	}
	return want == c;
}

/* A piece of the pattern against a piece of the path; neither has a slash that counts. */
static bool match_piece(struct cursor p, struct cursor t)
{
	struct cursor star = {NULL, p.end}, begun = t;
	bool malformed = false;

	while (t.at < t.end) {
		if (p.at < p.end && *p.at == '*') {
			star.at = ++p.at;
			begun.at = t.at;
		} else if (p.at < p.end && take_one(&p, *t.at, &malformed)) {
			t.at++;
		} else if (malformed || star.at == NULL) {
			return false;
		} else {
			p.at = star.at;
			t.at = ++begun.at;
		}
	}
	while (p.at < p.end && *p.at == '*')
		p.at++;
	return p.at == p.end;
}

/* The piece at the front of `p`, and `p` behind the slash that ends it; p->at is NULL after the
 * last one. */
static struct cursor next_piece(struct cursor *p, bool is_pattern, bool *malformed)
{
	struct cursor piece = {p->at, p->at};

	while (piece.end < p->end && *piece.end != '/') {
		if (is_pattern && *piece.end == '[') {
			struct cursor set = {piece.end + 1, p->end};

			take_set(&set, 0, malformed);
			piece.end = *malformed ? p->end : set.at;
		} else if (is_pattern && *piece.end == '\\' && p->end - piece.end > 1) {
			if (piece.end[1] == '/') {
				p->at = piece.end + 2;
				return piece;
			}
			piece.end += 2;
		} else {
			piece.end++;
		}
	}
	p->at = piece.end < p->end ? piece.end + 1 : NULL;
	return piece;
}

static bool is_stars(struct cursor piece)
{
	const uint8_t *at = piece.at;

	while (at < piece.end && *at == '*')
		at++;
	return at == piece.end && piece.end - piece.at >= 2;
}

static bool match_pieces(struct cursor p, struct cursor t)
{
	struct cursor stars = {NULL, p.end}, begun = t, piece;
	bool malformed = false;

	while (t.at != NULL) {
		struct cursor next = t;
		bool fits = false;

		if (p.at != NULL) {
			piece = next_piece(&p, true, &malformed);
			if (malformed)
				return false;
			if (is_stars(piece)) {
				if (p.at == NULL)
					return true;
				stars.at = p.at;
				begun.at = t.at;
				continue;
			}
			fits = match_piece(piece, next_piece(&next, false, &malformed));
		}
		if (!fits && stars.at == NULL)
			return false;
		if (fits) {
			t.at = next.at;
		} else {
			next_piece(&begun, false, &malformed);
			t.at = begun.at;
			p.at = stars.at;
		}
	}
	return p.at == NULL;
}

/* How much at its front is plain. */
static size_t plain_len(struct bytes text)
{
	size_t len = 0;

	while (len < text.len && memchr("*?[\\", text.data[len], 4) == NULL)
		len++;
	return len;
}

static struct bytes last_name(struct bytes path)
{
	size_t at = path.len;

	while (at > 0 && path.data[at - 1] != '/')
		at--;
	return bytes_after(path, at);
}

/* Without its end of line, and without the spaces before that which no backslash keeps. */
static struct bytes trim(struct bytes line)
{
	size_t spaces = 0; /* at the end, so far */

	if (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	for (size_t i = 0; i < line.len; i++) {
		spaces = line.data[i] == ' ' ? spaces + 1 : 0;
		i += line.data[i] == '\\';
	}
	return bytes_first(line, line.len - spaces);
}

bool ignore_parse(struct bytes line, struct ignore_pattern *pattern)
{
	struct bytes text = trim(line);

	*pattern = (struct ignore_pattern){0};
	if (text.len == 0 || text.data[0] == '#')
		return false;
	if (text.data[0] == '!') {
		pattern->negated = true;
		text = bytes_after(text, 1);
	}
	if (text.len > 0 && text.data[text.len - 1] == '/') {
		pattern->directory = true;
		text.len--;
	}
	pattern->anchored = bytes_find_byte(text, '/') < text.len;
	if (text.len > 0 && text.data[0] == '/')
		text = bytes_after(text, 1);
	pattern->text = text;
	return text.len > 0;
}

bool ignore_matches(const struct ignore_pattern *pattern, struct bytes path, bool is_directory)
{
	struct bytes text = pattern->text;
	size_t plain = plain_len(text);

	if ((pattern->directory && !is_directory) || path.len == 0)
		return false;
	if (!pattern->anchored)
		path = last_name(path);
	if (!bytes_equal(bytes_first(text, plain), bytes_first(path, plain)))
		return false;
	if (plain == text.len)
		return path.len == plain;
	text = bytes_after(text, plain);
	path = bytes_after(path, plain);
	return match_pieces((struct cursor){text.data, text.data + text.len},
			    (struct cursor){path.data, path.data + path.len});
}

bool ignore_path(const struct ignore_pattern *patterns, unsigned count, struct bytes path,
		 bool is_directory)
{
	while (count-- > 0)
		if (ignore_matches(&patterns[count], path, is_directory))
			return !patterns[count].negated;
	return false;
}

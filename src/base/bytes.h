/* A view of bytes somebody else owns: pointer and length, never a terminator. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *data;
	size_t len;
};

/* A string literal as bytes, without its terminator. */
#define BYTES_LITERAL(s) ((struct bytes){(const uint8_t *)("" s), sizeof(s) - 1})

static inline struct bytes bytes_of(const void *data, size_t len)
{
	return (struct bytes){data, len};
}

static inline struct bytes bytes_of_string(const char *s)
{
	return (struct bytes){(const uint8_t *)s, strlen(s)};
}

/* `b` without its first `n` bytes; n <= b.len. */
static inline struct bytes bytes_after(struct bytes b, size_t n)
{
	return n > 0 ? (struct bytes){b.data + n, b.len - n} : b; /* NULL + 0 is undefined */
}

/* The first `n` bytes of `b`, or all of it when it is shorter. */
static inline struct bytes bytes_first(struct bytes b, size_t n)
{
	return (struct bytes){b.data, b.len < n ? b.len : n};
}

bool bytes_equal(struct bytes a, struct bytes b);

/* Where `needle` first stands in `b`, or b.len when it does not (an empty needle stands at 0). */
size_t bytes_find(struct bytes b, struct bytes needle);

/* Where `byte` first stands in `b`, or b.len. */
size_t bytes_find_byte(struct bytes b, uint8_t byte);

/* `b` without ASCII white space (space \t \n \v \f \r) at both ends. */
struct bytes bytes_strip(struct bytes b);

/* Equal but for the case of ASCII letters. */
bool bytes_equal_fold(struct bytes a, struct bytes b);

/* Numbers of a wire or a file; wherever they stand. */

static inline uint16_t bytes_get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t bytes_get_le32(const uint8_t *p)
{
	return bytes_get_le16(p) | (uint32_t)bytes_get_le16(p + 2) << 16;
}

static inline uint64_t bytes_get_le64(const uint8_t *p)
{
	return bytes_get_le32(p) | (uint64_t)bytes_get_le32(p + 4) << 32;
}

static inline uint16_t bytes_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t bytes_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t bytes_get_be64(const uint8_t *p)
{
	return (uint64_t)bytes_get_be32(p) << 32 | bytes_get_be32(p + 4);
}

static inline void bytes_put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void bytes_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void bytes_put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline void bytes_put_be64(uint8_t *p, uint64_t v)
{
	bytes_put_be32(p, (uint32_t)(v >> 32));
	bytes_put_be32(p + 4, (uint32_t)v);
}

#endif

/*
 * writer - JSON written straight into a buffer
 *
 * Puts the commas and the escapes; the caller keeps the nesting right (an assert watches). Reading
 * JSON is base/json.h.
 *
 *     struct writer w = writer_on(&buffer);
 *     writer_object(&w);
 *     member_bool(&w, "ok", true);
 *     writer_end_object(&w);
 */
#pragma once

#include "base/buffer.h"
#include "base/moment.h"

struct writer {
    struct buffer *to;
    int depth;
    bool comma; // the next value or key needs one before it
};

struct writer writer_on(struct buffer *to);

void writer_object(struct writer *w);
void writer_end_object(struct writer *w);
void writer_array(struct writer *w);
void writer_end_array(struct writer *w);

void writer_key(struct writer *w, const char *key);

void writer_text(struct writer *w, const char *text); // NULL writes null
void writer_text_sized(struct writer *w, const char *text,
                       size_t size); // bytes that are not UTF-8 become U+FFFD
void writer_int(struct writer *w, int64_t n);
void writer_known(struct writer *w, int64_t n); // null where negative: unknown is null, never 0
void writer_real(struct writer *w, double n);   // NaN and infinity write null
void writer_bool(struct writer *w, bool b);
void writer_null(struct writer *w);
void writer_moment(struct writer *w, wall t); // RFC 3339, null where not set
void writer_ms(struct writer *w,
               int64_t us); // microseconds as milliseconds with three decimals; null where negative
void writer_raw(struct writer *w, const char *json, size_t size); // already JSON; NULL writes null

// --- members of an object: the key, and the value as above ---

static inline void member_object(struct writer *w, const char *key)
{
    writer_key(w, key);
    writer_object(w);
}

static inline void member_array(struct writer *w, const char *key)
{
    writer_key(w, key);
    writer_array(w);
}

static inline void member_text(struct writer *w, const char *key, const char *text)
{
    writer_key(w, key);
    writer_text(w, text);
}

static inline void member_int(struct writer *w, const char *key, int64_t n)
{
    writer_key(w, key);
    writer_int(w, n);
}

static inline void member_known(struct writer *w, const char *key, int64_t n)
{
    writer_key(w, key);
    writer_known(w, n);
}

static inline void member_bool(struct writer *w, const char *key, bool b)
{
    writer_key(w, key);
    writer_bool(w, b);
}

static inline void member_null(struct writer *w, const char *key)
{
    writer_key(w, key);
    writer_null(w);
}

static inline void member_moment(struct writer *w, const char *key, wall t)
{
    writer_key(w, key);
    writer_moment(w, t);
}

static inline void member_ms(struct writer *w, const char *key, int64_t us)
{
    writer_key(w, key);
    writer_ms(w, us);
}

static inline void member_raw(struct writer *w, const char *key, const char *json, size_t size)
{
    writer_key(w, key);
    writer_raw(w, json, size);
}

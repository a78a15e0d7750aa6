#include "base/status.h"

static const char *const texts[STATUS_COUNT] = {
    [STATUS_OK] = "ok",
    [STATUS_INVALID] = "invalid",
    [STATUS_FORBIDDEN] = "forbidden",
    [STATUS_NOT_FOUND] = "not found",
    [STATUS_CONFLICT] = "conflict",
    [STATUS_STALE] = "stale",
    [STATUS_MISMATCH] = "mismatch",
    [STATUS_TOO_LARGE] = "too large",
    [STATUS_UNAVAILABLE] = "unavailable",
    [STATUS_FAILED] = "failed",
    [STATUS_END] = "end",
};

const char *status_text(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? texts[status] : "unknown";
}

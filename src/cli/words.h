/*
 * words - a schedule or a target in words
 *
 * "every day at 02:30", "every 15 minutes on Monday to Friday". Only what can be said shortly and
 * without doubt: for the rest the expression itself is shown.
 */
#pragma once

#include "base/buffer.h"
#include "base/json.h"
#include "core/cron.h"

// False, with nothing added, for what has no short words.
bool words_cron(const struct cron *cron, struct buffer *to);
// One schedule as the API shows it, with its zone: "every day at 02:30 Europe/Berlin (30 2 * * *)".
void words_schedule(const json_t *schedule, struct buffer *to);
// The same, for a narrow column: only the words or the expression of the first, and "+ 2" for
// further ones.
void words_schedules_short(const json_t *schedules, struct buffer *to);
// What a definition's runs do: "POST https://...", a command's words, a queue's name. Returns which
// of them it is: "http", "command", "queue", "monitor".
const char *words_target(const json_t *definition, struct buffer *to);

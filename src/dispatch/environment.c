#include "dispatch/environment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define LINE_MAX_SIZE (1 << 20)

static bool has(const struct environment *environment, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->lines[i], name, size) == 0 && environment->lines[i][size] == '=')
            return true;
    return false;
}

static void put(struct environment *environment, const char *name, const char *value)
{
    struct buffer line;
    if (!value || has(environment, name))
        return;
    buffer_init(&line, LINE_MAX_SIZE);
    buffer_text(&line, name);
    buffer_byte(&line, '=');
    buffer_text(&line, value);
    if (environment->count + 2 > environment->capacity) {
        environment->capacity = environment->capacity * 2 + 16;
        environment->lines =
            memory_resize(environment->lines, environment->capacity, sizeof *environment->lines);
    }
    environment->lines[environment->count++] = buffer_take(&line, NULL);
    environment->lines[environment->count] = NULL;
}

static void put_number(struct environment *environment, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, n);
    put(environment, name, text);
}

void environment_init(struct environment *environment, const struct effort *effort,
                      const char *server_url, const char *report_path)
{
    static const char *const inherited[] = {"PATH", "HOME", "LANG", "TZ"};
    const struct order *order = effort->order;
    const struct target *target = &order->task->target;
    char run[RUN_ID_TEXT], moment[MOMENT_TEXT];
    *environment = (struct environment){0};
    run_id_format(order->run, run);
    put(environment, "PUNCTUAL_RUN", run);
    put(environment, "PUNCTUAL_TASK", order->task->name);
    put_number(environment, "PUNCTUAL_ATTEMPT", order->number);
    put_number(environment, "PUNCTUAL_FENCE", order->fence);
    if (wall_is_set(order->scheduled_for)) {
        wall_format(order->scheduled_for, moment);
        put(environment, "PUNCTUAL_SCHEDULED_FOR", moment);
    }
    put(environment, "PUNCTUAL_URL", server_url);
    put(environment, "PUNCTUAL_REPORT", report_path);
    for (size_t i = 0; i < target->command.env_count; i++)
        put(environment, target->command.env[i].name, target->command.env[i].value);
    for (size_t i = 0; i < sizeof inherited / sizeof inherited[0]; i++)
        put(environment, inherited[i], getenv(inherited[i]));
    put(environment, "PATH", "/usr/local/bin:/usr/bin:/bin");
}

void environment_done(struct environment *environment)
{
    for (size_t i = 0; i < environment->count; i++)
        free(environment->lines[i]);
    free(environment->lines);
}

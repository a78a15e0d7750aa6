// POST /v1/apply: a whole set of tasks, as JSON or as the YAML of punctual.yaml.

#include <string.h>

#include "api/handlers.h"
#include "api/media.h"
#include "api/query.h"
#include "core/yaml.h"

// ${NAME} in a body never reads this server's environment: it is not the sender's to see.
// ${NAME:-other} works.
static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static bool read_set(struct request *r, struct task_set *ret)
{
    json_t *value = NULL;
    struct yaml_places *places = NULL;
    bool yaml = media_of(r) == MEDIA_YAML;
    if (!yaml && !request_json(r, &value))
        return false;
    enum status status = STATUS_OK;
    if (yaml)
        status = yaml_read(buffer_string(&r->body), r->body.size, no_environment, &r->faults,
                           &value, &places);
    if (status == STATUS_OK)
        status = task_set_decode(value, &r->faults, ret);
    if (places)
        yaml_place_faults(places, &r->faults);
    yaml_places_free(places);
    json_decref(value);
    if (status != STATUS_OK)
        request_refuse(r, PROBLEM_INVALID, "the set has errors; nothing was changed");
    return status == STATUS_OK;
}

static bool commands_are_allowed(struct request *r, const struct task_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->tasks[i]->target.kind == TARGET_COMMAND && !r->service->options->allow_commands) {
            request_refuse(r, PROBLEM_FORBIDDEN,
                           "this server does not allow commands, and the task \"%s\" is one; "
                           "nothing was changed",
                           set->tasks[i]->name);
            return false;
        }
    return true;
}

void apply_post(struct request *r)
{
    struct message *message = message_new(MESSAGE_APPLY);
    message->dry_run = query_bool(r, "dry_run");
    message->prune = query_bool(r, "prune");
    message->author = request_author(r);
    message->note = request_note(r);
    if (request_is_sound(r, "a query parameter makes no sense") && read_set(r, &message->set) &&
        commands_are_allowed(r, &message->set))
        request_post(r, message);
    else
        message_free(message);
}

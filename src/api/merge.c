#include "api/merge.h"

// RFC 7396, 2. The depth is that of the patch, which the reader of JSON bounds.
json_t *merge_patch(json_t *target, json_t *patch)
{
    if (!json_is_object(patch))
        return json_incref(patch);
    json_t *merged = json_is_object(target) ? json_copy(target) : json_object();
    const char *name;
    json_t *value;
    json_object_foreach(patch, name, value)
    {
        if (json_is_null(value))
            json_object_del(merged, name);
        else
            json_object_set_new(merged, name, merge_patch(json_object_get(merged, name), value));
    }
    return merged;
}

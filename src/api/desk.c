#include <stdlib.h>
#include <string.h>

#include "api/service.h"
#include "base/map.h"
#include "base/memory.h"

static void desk_free(void *at)
{
    struct desk *desk = at;
    reader_close(desk->reader);
    for (size_t i = 0; i < DESK_TARGETS; i++) {
        free(desk->targets[i].text);
        task_drop(desk->targets[i].task);
    }
    free(desk);
}

enum status service_init(struct service *service)
{
    pthread_mutex_init(&service->burst, NULL);
    atomic_init(&service->under_way, 0);
    atomic_init(&service->stopping, false);
    return pthread_key_create(&service->desks, desk_free) == 0 ? STATUS_OK : STATUS_FAILED;
}

void service_done(struct service *service)
{
    pthread_key_delete(service->desks);
    pthread_mutex_destroy(&service->burst);
}

struct desk *service_desk(struct service *service)
{
    struct desk *desk = pthread_getspecific(service->desks);
    if (!desk) {
        desk = memory_new(sizeof *desk);
        pthread_setspecific(service->desks, desk);
    }
    return desk;
}

enum status service_reader(struct service *service, struct reader **ret, char *why, size_t size)
{
    struct desk *desk = service_desk(service);
    if (!desk->reader) {
        enum status status = reader_open_sqlite(service->options->store, &desk->reader, why, size);
        if (status != STATUS_OK) {
            desk->reader = NULL;
            return status;
        }
    }
    *ret = desk->reader;
    return STATUS_OK;
}

static struct desk_target *target_slot(struct desk *desk, const char *text, size_t size)
{
    return &desk->targets[hash_bytes(text, size) & (DESK_TARGETS - 1)];
}

struct task *desk_find_target(struct desk *desk, const char *text, size_t size)
{
    const struct desk_target *slot = target_slot(desk, text, size);
    if (!slot->text || slot->size != size || memcmp(slot->text, text, size) != 0)
        return NULL;
    return task_hold(slot->task);
}

void desk_keep_target(struct desk *desk, char *text, size_t size, struct task *task)
{
    struct desk_target *slot = target_slot(desk, text, size);
    free(slot->text);
    task_drop(slot->task);
    *slot = (struct desk_target){.text = text, .size = size, .task = task_hold(task)};
}

// GET /metrics: the scheduler knows the numbers, but for that of dead letters, which the store
// counts.

#include "api/handlers.h"
#include "api/request.h"

#define DEAD_MOST 1000000 // some tens of milliseconds of counting

void metrics_get(struct request *r)
{
    struct reader *reader;
    size_t dead;
    if (!request_reader(r, &reader))
        return;
    enum status status = reader_count_open_dead(reader, DEAD_MOST, &dead);
    if (status != STATUS_OK) {
        request_refuse_status(r, status, "metrics");
        return;
    }
    struct message *message = message_new(MESSAGE_METRICS);
    message->dead = dead;
    request_post(r, message);
}

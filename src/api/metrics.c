// GET /metrics: the scheduler knows the numbers.

#include "api/handlers.h"
#include "api/request.h"

void metrics_get(struct request *r)
{
    request_post(r, message_new(MESSAGE_METRICS));
}

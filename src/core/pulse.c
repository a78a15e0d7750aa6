#include "core/pulse.h"

void pulse_init(struct pulse *pulse)
{
    pthread_mutex_init(&pulse->lock, NULL);
    pulse->values = (struct pulse_values){.store_ok = true};
}

void pulse_publish(struct pulse *pulse, const struct pulse_values *values)
{
    pthread_mutex_lock(&pulse->lock);
    pulse->values = *values;
    pthread_mutex_unlock(&pulse->lock);
}

struct pulse_values pulse_read(struct pulse *pulse)
{
    pthread_mutex_lock(&pulse->lock);
    struct pulse_values values = pulse->values;
    pthread_mutex_unlock(&pulse->lock);
    return values;
}

#include "core/pulse.h"

void pulse_init(struct pulse *pulse)
{
    pthread_mutex_init(&pulse->lock, NULL);
    pulse->values = (struct pulse_values){.store_ok = true};
    pulse->audit = (struct audit_pulse){0};
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

void pulse_publish_audit(struct pulse *pulse, const struct audit_pulse *values)
{
    pthread_mutex_lock(&pulse->lock);
    pulse->audit = *values;
    pthread_mutex_unlock(&pulse->lock);
}

struct audit_pulse pulse_read_audit(struct pulse *pulse)
{
    pthread_mutex_lock(&pulse->lock);
    struct audit_pulse values = pulse->audit;
    pthread_mutex_unlock(&pulse->lock);
    return values;
}

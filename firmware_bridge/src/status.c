#include "ecgqa/status.h"

const char *ecgqa_status_str(ecgqa_status_t status)
{
    switch (status) {
#define ECGQA_STATUS_CASE(name, value, text) \
    case name:                               \
        return text;
        ECGQA_STATUS_LIST(ECGQA_STATUS_CASE)
#undef ECGQA_STATUS_CASE
    default:
        return "unknown status";
    }
}

/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "ecgqa/status.h"

#include "ecgqa/reason.h"

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

const char *ecgqa_reason_str(ecgqa_reason_t reason)
{
    switch (reason) {
#define ECGQA_REASON_CASE(name, value, text) \
    case ECGQA_REASON_##name:                \
        return text;
        ECGQA_REASONS(ECGQA_REASON_CASE)
#undef ECGQA_REASON_CASE
    default:
        return "unknown reason";
    }
}

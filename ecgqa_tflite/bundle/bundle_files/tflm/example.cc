// @name@ in TensorFlow Lite Micro: a segment of samples in, high or low quality out.
#include "ecgqa_image.h"
#include "@array@_tflm.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

alignas(16) static uint8_t arena[ECGQA_ARENA_BYTES];
static uint32_t workspace[(ECGQA_IMAGE_WORKSPACE_BYTES + 3u) / 4u];

// 1: high quality; 0: low; -1: the arena is too small or an operator is missing.
int ecgqa_quality(const int16_t samples[ECGQA_SEGMENT_LEN])
{
    static ecgqa_resolver_t resolver;
    static const TfLiteStatus added = ecgqa_add_operators(resolver);
    static tflite::MicroInterpreter interpreter(tflite::GetModel(@array@_tflite), resolver, arena,
                                                sizeof arena);
    static const TfLiteStatus allocated = interpreter.AllocateTensors();
    int flat = 0;

    if (added != kTfLiteOk || allocated != kTfLiteOk ||
        ecgqa_image(samples, interpreter.input(0)->data.int8, workspace, sizeof workspace,
                    &flat) != ECGQA_OK ||
        interpreter.Invoke() != kTfLiteOk) {
        return -1;
    }
    return ECGQA_IS_HIGH(flat, interpreter.output(0)->data.int8[1]);
}

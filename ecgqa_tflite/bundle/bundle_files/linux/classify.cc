// @name@ in TensorFlow Lite's C++ interface: int16 samples on stdin, a decision a line.
//     make classify TFLITE_INCLUDE=... TFLITE_LIBS=...
//     build/classify @name@.tflite < samples.s16
#include <cstdio>
#include <memory>
#include <vector>

#include "ecgqa_image.h"
#include "tensorflow/lite/interpreter.h"
#include "tensorflow/lite/kernels/register.h"
#include "tensorflow/lite/model_builder.h"

int main(int argc, char **argv)
{
    const auto model = tflite::FlatBufferModel::BuildFromFile(argc > 1 ? argv[1] : "@name@.tflite");
    const tflite::ops::builtin::BuiltinOpResolver resolver;
    std::unique_ptr<tflite::Interpreter> interpreter;
    std::vector<int16_t> samples(ECGQA_SEGMENT_LEN);
    std::vector<uint32_t> workspace((ECGQA_IMAGE_WORKSPACE_BYTES + 3u) / 4u);

    if (model == nullptr ||
        tflite::InterpreterBuilder(*model, resolver)(&interpreter) != kTfLiteOk ||
        interpreter->AllocateTensors() != kTfLiteOk) {
        std::fprintf(stderr, "can't load the network\n");
        return 1;
    }
    for (unsigned long start = 0;
         std::fread(samples.data(), 2, samples.size(), stdin) == samples.size();
         start += ECGQA_SEGMENT_LEN) {
        const double start_s = static_cast<double>(start) / @fs_hz@;
        int flat = 0;

        if (ecgqa_image(samples.data(), interpreter->typed_input_tensor<int8_t>(0),
                        workspace.data(), workspace.size() * 4u, &flat) != ECGQA_OK ||
            interpreter->Invoke() != kTfLiteOk) {
            std::fprintf(stderr, "the segment at %.10g s failed\n", start_s);
            return 1;
        }
        const int8_t score = interpreter->typed_output_tensor<int8_t>(0)[1];
        std::printf("%.10g s: %s\n", start_s, ECGQA_IS_HIGH(flat, score) ? "@high@" : "@low@");
    }
    return 0;
}

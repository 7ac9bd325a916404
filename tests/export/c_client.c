// Ask a SavedModel through TensorFlow's C API, with no Python in the process.
// Usage: c_client DIR OUTPUT_TENSOR < requests > outputs
// A request is tasks, examples, queries, dim (int64), support_x, query_x (float32) and support_y (int32); for each one
// the output's bytes are written. Status 3: the model refused one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void stop_on(TF_Status* status, int code) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%s\n", TF_Message(status));
  exit(TF_GetCode(status) == TF_INVALID_ARGUMENT ? 3 : code);
}

static TF_Tensor* read_tensor(TF_DataType type, const int64_t* dims, int rank) {
  size_t bytes = 4;
  for (int axis = 0; axis < rank; ++axis) bytes *= dims[axis];
  TF_Tensor* tensor = TF_AllocateTensor(type, dims, rank, bytes);
  if (fread(TF_TensorData(tensor), 1, bytes, stdin) != bytes) exit(4);
  return tensor;
}

static TF_Output tensor_named(TF_Graph* graph, const char* name) {
  char operation[256];
  const char* colon = strchr(name, ':');
  if (!colon) exit(5);
  snprintf(operation, sizeof operation, "%.*s", (int)(colon - name), name);
  TF_Output output = {TF_GraphOperationByName(graph, operation), atoi(colon + 1)};
  if (!output.oper) exit(5);
  return output;
}

static void answer(TF_Session* session, const TF_Output* inputs, TF_Output output, const int64_t* sizes) {
  int64_t support_shape[] = {sizes[0], sizes[1], sizes[3]}, query_shape[] = {sizes[0], sizes[2], sizes[3]};
  TF_Tensor *values[3], *result = NULL;
  TF_Status* status = TF_NewStatus();
  values[0] = read_tensor(TF_FLOAT, support_shape, 3);
  values[1] = read_tensor(TF_FLOAT, query_shape, 3);
  values[2] = read_tensor(TF_INT32, support_shape, 2);
  TF_SessionRun(session, NULL, inputs, values, 3, &output, &result, 1, NULL, 0, NULL, status);
  stop_on(status, 2);
  fwrite(TF_TensorData(result), 1, TF_TensorByteSize(result), stdout);
  fflush(stdout);
  for (int index = 0; index < 3; ++index) TF_DeleteTensor(values[index]);
  TF_DeleteTensor(result);
  TF_DeleteStatus(status);
}

int main(int count, char** arguments) {
  if (count != 3) return 1;
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  stop_on(status, 2);

  TF_Output inputs[] = {tensor_named(graph, "serving_default_support_x:0"),
                        tensor_named(graph, "serving_default_query_x:0"),
                        tensor_named(graph, "serving_default_support_y:0")};
  TF_Output output = tensor_named(graph, arguments[2]);
  int64_t sizes[4];
  while (fread(sizes, sizeof sizes, 1, stdin) == 1) answer(session, inputs, output, sizes);

  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}

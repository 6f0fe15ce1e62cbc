#define _POSIX_C_SOURCE 200809L // open_memstream

#include "graph.h"

#include <stdio.h>
#include <stdlib.h>

#include "mlx/c/graph_utils.h"

char *reprise_graph(mlx_vector_array arrays) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (out == NULL) {
    return NULL;
  }
  mlx_node_namer namer = mlx_node_namer_new();
  int rc = mlx_export_to_dot(out, namer, arrays);
  mlx_node_namer_free(namer);
  if (fclose(out) != 0 || rc != 0) {
    free(text);
    return NULL;
  }
  return text;
}

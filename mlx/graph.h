#ifndef REPRISE_GRAPH_H
#define REPRISE_GRAPH_H

#include "mlx/c/vector.h"

// reprise_graph is the graph that the arrays stand for as text in the DOT language, to be freed; NULL on an error.
char *reprise_graph(mlx_vector_array arrays);

#endif

// The definitions of the entries that stand for several others, by those others.
#pragma once

#include "kernels/table.h"

namespace gemma4::kernels::reference {

void linear_group(Queue, const LinearGroupArgs&);
void gated_linear(Queue, const GatedLinearArgs&);
void prepare_heads(Queue, const PrepareHeadsArgs&);
void add_normed(Queue, const AddNormedArgs&);
void add_branches(Queue, const AddBranchesArgs&);
void best_logits(Queue, const BestLogitsArgs&);
bool can_add_layer_input(Queue, const LayerInputArgs&);
void add_layer_input(Queue, const LayerInputArgs&);

}  // namespace gemma4::kernels::reference

// The definitions of the vision tower's table entries; see kernels/table.h.
#pragma once

#include "kernels/table.h"

namespace gemma4::kernels::reference {

void rope_axes(Queue queue, const RopeAxesArgs& a);
void pool(Queue queue, const PoolArgs& a);
void layer_norm(Queue queue, const LayerNormArgs& a);

}  // namespace gemma4::kernels::reference

// The definitions of the audio tower's table entries; see kernels/table.h.
#pragma once

#include "kernels/table.h"

namespace gemma4::kernels::reference {

void subsample(Queue queue, const SubsampleArgs& a);
void clip(Queue queue, const ClipArgs& a);
void silu(Queue queue, const SiluArgs& a);
void light_conv(Queue queue, const LightConvArgs& a);
void local_attention(Queue queue, const LocalAttentionArgs& a);

}  // namespace gemma4::kernels::reference

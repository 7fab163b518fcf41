// Why a schema has no value, for the message that refuses it.
#pragma once

#include <string>

#include "constrain/inhabitants.h"
#include "constrain/schema_algebra.h"

namespace gemma4::constrain {

// The innermost schema that is found to be at fault when no value satisfies `all`, and what demands
// it. Errors: those of SchemaAlgebra.
Result<std::string> describe_culprit(SchemaAlgebra& algebra, Inhabitants& inhabitants,
                                     const Conjunction& all);

}  // namespace gemma4::constrain

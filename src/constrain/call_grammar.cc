#include "constrain/call_grammar.h"

#include "base/strings.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {
namespace {

// The rule of a tool's arguments: an object, whatever else the schema allows.
Result<RuleId> arguments(const json::Value& parameters, GrammarBuilder& grammar, Dialect& dialect) {
  const SchemaOptions options{.open_objects = false, .tool_forms = true};
  G4_ASSIGN_OR_RETURN(SchemaSet schemas, load_schema(parameters, options));
  if (schemas[0].never || (schemas[0].types & kObjectBit) == 0)
    return Error{ErrorCode::kInvalidArgument, "parameters must be the schema of an object"};
  const SchemaId object = schemas.add({.types = kObjectBit});
  return ValueRules(SchemaAlgebra(std::move(schemas), options.open_objects), grammar, dialect)
      .root({0, object});
}

}  // namespace

Result<std::shared_ptr<const Grammar>> grammar_of_calls(std::span<const Tool> tools,
                                                        const ControlTokens& tokens,
                                                        CallCount count) {
  if (tools.empty())
    return Error{ErrorCode::kInvalidArgument, "a call is demanded but there are no tools"};
  const json::Value anything(true);
  GrammarBuilder grammar;
  const std::unique_ptr<Dialect> dialect = call_dialect(grammar, tokens.quote);
  const RuleId root = grammar.add_rule("calls");
  const StateId prefix = grammar.add_state();
  grammar.edge_on_symbol(grammar.start(root), tokens.call_begin, prefix);
  const StateId name = grammar.bytes(prefix, "call:");
  const StateId behind = grammar.add_state();
  for (const Tool& tool : tools) {
    const json::Value& parameters = tool.parameters != nullptr ? *tool.parameters : anything;
    auto rule = arguments(parameters, grammar, *dialect);
    if (!rule.ok()) return rule.error().with_context(str_cat("tool '", tool.name, "'"));
    grammar.call(grammar.bytes(name, tool.name), rule.value(), behind);
  }
  const StateId end = grammar.symbol(behind, tokens.call_end);
  grammar.accept(end);
  if (count == CallCount::kOneOrMore) grammar.edge_on_symbol(end, tokens.call_begin, prefix);
  return grammar.build(root);
}

}  // namespace gemma4::constrain

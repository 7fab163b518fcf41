// Arrays and objects as lists of alternatives (a disjunctive normal form): the applicators, which
// are the same for both. What the keywords themselves say is in array_specs.cc and object_specs.cc.
#pragma once

#include <algorithm>
#include <utility>

#include "constrain/schema_algebra.h"

namespace gemma4::constrain {

template <typename Spec>
class SpecBuilder {
 public:
  using Specs = std::vector<Spec>;
  using Annotations = SchemaAlgebra::Annotations;

  explicit SpecBuilder(SchemaAlgebra& algebra) : algebra_(algebra) {}

  Result<Specs> of(Literal literal, Annotations annotations) {
    if (literal.negated) annotations = Annotations::kIgnored;
    const int kind = 3 + Spec::kType + (literal.negated ? 1 : 0);
    const SchemaAlgebra::Inside inside(algebra_.nesting_);
    G4_RETURN_IF_ERROR(algebra_.check_nesting(literal.schema));
    const auto mark = std::make_pair(literal.schema, kind);
    if (!algebra_.open_.insert(mark).second)
      return algebra_.refuse(literal.schema, "$ref", "the schema refers to itself without end");
    const SchemaId outer = std::exchange(place_, literal.schema);
    Result<Specs> result =
        literal.negated ? apart(literal.schema) : within(literal.schema, annotations);
    algebra_.open_.erase(mark);
    place_ = outer;
    return result;
  }

  // Every alternative of `a` with every one of `b`, without those that contradict themselves.
  Result<Specs> both(const Specs& a, const Specs& b) {
    G4_RETURN_IF_ERROR(algebra_.charge(a.size() * b.size(), place_));
    Specs result;
    for (const Spec& left : a)
      for (const Spec& right : b) {
        Spec merged = merge(left, right);
        if (a.size() > 1 || b.size() > 1) {
          G4_ASSIGN_OR_RETURN(const bool impossible, algebra_.impossible(merged));
          if (impossible) continue;
        }
        result.push_back(std::move(merged));
      }
    return result;
  }

 private:
  // Defined for each kind of Spec.
  static Spec merge(const Spec& a, const Spec& b);
  Result<Spec> own(SchemaId id, Annotations annotations);
  Result<Specs> own_opposite(SchemaId id);
  Status add_unevaluated(SchemaId id, Specs& specs);
  static bool has_unevaluated(const Schema& schema);
  Result<Specs> dependents(const Schema& schema, Annotations annotations, bool negated);

  static void append(Specs& specs, Specs more) {
    std::move(more.begin(), more.end(), std::back_inserter(specs));
  }
  Result<Specs> positive(SchemaId id, Annotations a) { return of({id, false}, a); }
  Result<Specs> negative(SchemaId id) { return of({id, true}, Annotations::kIgnored); }

  // What a schema applies in place holds together with its own keywords; what it negates does not.
  Result<Specs> within(SchemaId id, Annotations annotations) {
    surrounding_.push_back(&algebra_.schema(id));
    Result<Specs> result = evaluate(id, annotations);
    surrounding_.pop_back();
    return result;
  }
  Result<Specs> apart(SchemaId id) {
    auto outside = std::exchange(surrounding_, {});
    Result<Specs> result = opposite(id);
    surrounding_ = std::move(outside);
    return result;
  }

  Result<Specs> evaluate(SchemaId id, Annotations annotations) {
    const Schema& schema = algebra_.schema(id);
    if (schema.never || (schema.types & Spec::kType) == 0) return Specs();
    if (has_unevaluated(schema)) annotations = Annotations::kAllSubsets;
    G4_ASSIGN_OR_RETURN(Spec mine, own(id, annotations));
    Specs result{std::move(mine)};
    const auto add = [&](Result<Specs> more) -> Status {
      if (!more.ok()) return more.error();
      G4_ASSIGN_OR_RETURN(result, both(result, more.value()));
      return {};
    };
    for (const auto& list : schema.values) G4_RETURN_IF_ERROR(add(one_of_values(list)));
    for (const SchemaId part : schema.all_of) G4_RETURN_IF_ERROR(add(positive(part, annotations)));
    if (schema.has_any_of) G4_RETURN_IF_ERROR(add(any_of(schema, annotations, result.size())));
    for (const auto& branches : schema.one_of)
      G4_RETURN_IF_ERROR(add(one_of(branches, annotations)));
    if (schema.negated) G4_RETURN_IF_ERROR(add(negative(*schema.negated)));
    if (schema.condition) G4_RETURN_IF_ERROR(add(conditional(schema, annotations)));
    G4_ASSIGN_OR_RETURN(const Specs dependent, dependents(schema, annotations, false));
    G4_ASSIGN_OR_RETURN(result, both(result, dependent));
    G4_RETURN_IF_ERROR(add_unevaluated(id, result));
    return result;
  }

  Result<Specs> one_of_values(const std::vector<const json::Value*>& values) {
    Specs result;
    for (const json::Value* value : values) {
      G4_ASSIGN_OR_RETURN(Specs more,
                          positive(algebra_.structure_of(*value), Annotations::kIgnored));
      append(result, std::move(more));
    }
    return result;
  }

  // With annotations that count, every set of branches is an alternative of its own: what more
  // branches have looked at is allowed more. Where objects have only the properties that are named,
  // the same goes for a few branches that name some. `factor` alternatives are to be combined with
  // the result.
  Result<Specs> any_of(const Schema& schema, Annotations annotations, size_t factor) {
    const bool all_subsets = annotations == Annotations::kAllSubsets;
    const bool closed = Spec::kType == kObjectBit && !algebra_.open_objects();
    Specs result;
    std::vector<Specs> joined;
    for (const SchemaId id : schema.any_of) {
      G4_ASSIGN_OR_RETURN(Specs branch, positive(id, annotations));
      if (all_subsets || (closed && brings_names(branch))) {
        joined.push_back(std::move(branch));
      } else {
        append(result, std::move(branch));
      }
    }
    if (all_subsets || few_subsets(joined, factor)) {
      G4_ASSIGN_OR_RETURN(Specs subsets, all_subsets_of(joined));
      append(result, std::move(subsets));
    } else {
      for (Specs& branch : joined) append(result, std::move(branch));
    }
    return result;
  }

  // Whether a branch names properties that nothing around it does. Other branches add nothing to
  // one that does: what both allow together, that one allows.
  bool brings_names(const Specs& branch) const {
    if constexpr (Spec::kType == kObjectBit) {
      for (const Spec& spec : branch)
        for (const auto& group : spec.groups) {
          if (!group->patterns.empty() || group->additional) return true;
          for (const auto& [name, literals] : group->named)
            if (!named_around(name)) return true;
        }
    }
    return false;
  }
  bool named_around(const std::string& name) const {
    return std::any_of(surrounding_.begin(), surrounding_.end(), [&](const Schema* schema) {
      const auto& all = schema->properties;
      return std::any_of(all.begin(), all.end(), [&](const auto& p) { return p.first == name; });
    });
  }

  static bool few_subsets(const std::vector<Specs>& branches, size_t factor) {
    constexpr size_t kFewBranches = 4;
    constexpr size_t kFewSubsets = 256;
    if (branches.size() > kFewBranches) return false;
    size_t count = std::max<size_t>(factor, 1);
    for (const Specs& branch : branches) count = std::min(count, kFewSubsets) * (branch.size() + 1);
    return count <= kFewSubsets;
  }

  Result<Specs> all_subsets_of(const std::vector<Specs>& branches) {
    Specs result;
    G4_RETURN_IF_ERROR(algebra_.charge(size_t{1} << std::min<size_t>(branches.size(), 40), place_));
    for (size_t subset = 1; subset < size_t{1} << branches.size(); ++subset) {
      Specs merged{Spec()};
      for (size_t i = 0; i < branches.size(); ++i)
        if ((subset >> i & 1) != 0) {
          G4_ASSIGN_OR_RETURN(merged, both(merged, branches[i]));
        }
      append(result, std::move(merged));
    }
    return result;
  }

  // A branch, and none of the others; those that it excludes anyway need not be negated.
  Result<Specs> one_of(const std::vector<SchemaId>& branches, Annotations annotations) {
    Specs result;
    for (size_t chosen = 0; chosen < branches.size(); ++chosen) {
      G4_ASSIGN_OR_RETURN(Specs specs, positive(branches[chosen], annotations));
      for (size_t other = 0; other < branches.size(); ++other) {
        if (other == chosen || specs.empty()) continue;
        G4_ASSIGN_OR_RETURN(const Specs inside, positive(branches[other], Annotations::kIgnored));
        G4_ASSIGN_OR_RETURN(const Specs overlap, both_checked(specs, inside));
        if (overlap.empty()) continue;
        G4_ASSIGN_OR_RETURN(const Specs outside, negative(branches[other]));
        G4_ASSIGN_OR_RETURN(specs, both(specs, outside));
      }
      append(result, std::move(specs));
    }
    return result;
  }

  Result<Specs> both_checked(const Specs& a, const Specs& b) {
    G4_ASSIGN_OR_RETURN(Specs merged, both(a, b));
    Specs result;
    for (Spec& spec : merged) {
      G4_ASSIGN_OR_RETURN(const bool impossible, algebra_.impossible(spec));
      if (!impossible) result.push_back(std::move(spec));
    }
    return result;
  }

  Result<Specs> conditional(const Schema& schema, Annotations annotations) {
    if (!schema.then_schema && !schema.else_schema && annotations == Annotations::kIgnored)
      return Specs{Spec()};
    G4_ASSIGN_OR_RETURN(Specs result, positive(*schema.condition, annotations));
    if (schema.then_schema) {
      G4_ASSIGN_OR_RETURN(const Specs then, positive(*schema.then_schema, annotations));
      G4_ASSIGN_OR_RETURN(result, both(result, then));
    }
    if (!schema.then_schema && !schema.else_schema) {
      result.push_back(Spec());  // with or without its annotations
      return result;
    }
    G4_ASSIGN_OR_RETURN(Specs otherwise, negative(*schema.condition));
    if (schema.else_schema) {
      G4_ASSIGN_OR_RETURN(const Specs more, positive(*schema.else_schema, annotations));
      G4_ASSIGN_OR_RETURN(otherwise, both(otherwise, more));
    }
    append(result, std::move(otherwise));
    return result;
  }

  Result<Specs> opposite(SchemaId id) {
    const Schema& schema = algebra_.schema(id);
    if (schema.never || (schema.types & Spec::kType) == 0) return Specs{Spec()};
    if (has_unevaluated(schema))
      return algebra_.refuse(id, "unevaluatedItems or unevaluatedProperties",
                             "it is under a negation");
    G4_ASSIGN_OR_RETURN(Specs result, own_opposite(id));
    const auto add = [&](Result<Specs> more) -> Status {
      if (!more.ok()) return more.error();
      append(result, std::move(more).value());
      return algebra_.charge(result.size(), place_);
    };
    for (const auto& list : schema.values) G4_RETURN_IF_ERROR(add(none_of_values(list)));
    for (const SchemaId part : schema.all_of) G4_RETURN_IF_ERROR(add(negative(part)));
    if (schema.has_any_of) G4_RETURN_IF_ERROR(add(none_of(schema.any_of)));
    for (const auto& branches : schema.one_of) G4_RETURN_IF_ERROR(add(not_one_of(branches)));
    if (schema.negated) G4_RETURN_IF_ERROR(add(positive(*schema.negated, Annotations::kIgnored)));
    if (schema.condition) G4_RETURN_IF_ERROR(add(opposite_conditional(schema)));
    G4_RETURN_IF_ERROR(add(dependents(schema, Annotations::kIgnored, true)));
    return result;
  }

  Result<Specs> none_of_values(const std::vector<const json::Value*>& values) {
    Specs result{Spec()};
    for (const json::Value* value : values) {
      G4_ASSIGN_OR_RETURN(const Specs other, negative(algebra_.structure_of(*value)));
      G4_ASSIGN_OR_RETURN(result, both(result, other));
    }
    return result;
  }

  Result<Specs> none_of(const std::vector<SchemaId>& branches) {
    Specs result{Spec()};
    for (const SchemaId id : branches) {
      G4_ASSIGN_OR_RETURN(const Specs other, negative(id));
      G4_ASSIGN_OR_RETURN(result, both(result, other));
    }
    return result;
  }

  Result<Specs> not_one_of(const std::vector<SchemaId>& branches) {
    G4_ASSIGN_OR_RETURN(Specs result, none_of(branches));
    for (size_t i = 0; i < branches.size(); ++i)
      for (size_t j = i + 1; j < branches.size(); ++j) {
        G4_ASSIGN_OR_RETURN(const Specs a, positive(branches[i], Annotations::kIgnored));
        G4_ASSIGN_OR_RETURN(const Specs b, positive(branches[j], Annotations::kIgnored));
        G4_ASSIGN_OR_RETURN(Specs two, both(a, b));
        append(result, std::move(two));
      }
    return result;
  }

  Result<Specs> opposite_conditional(const Schema& schema) {
    Specs result;
    if (schema.then_schema) {
      G4_ASSIGN_OR_RETURN(const Specs a, positive(*schema.condition, Annotations::kIgnored));
      G4_ASSIGN_OR_RETURN(const Specs b, negative(*schema.then_schema));
      G4_ASSIGN_OR_RETURN(result, both(a, b));
    }
    if (schema.else_schema) {
      G4_ASSIGN_OR_RETURN(const Specs a, negative(*schema.condition));
      G4_ASSIGN_OR_RETURN(const Specs b, negative(*schema.else_schema));
      G4_ASSIGN_OR_RETURN(Specs more, both(a, b));
      append(result, std::move(more));
    }
    return result;
  }

  SchemaAlgebra& algebra_;
  SchemaId place_ = 0;                      // the schema being looked at
  std::vector<const Schema*> surrounding_;  // that hold together with it, itself included
};

// All alternatives of a conjunction that are not plainly impossible.
template <typename Spec>
Result<std::vector<Spec>> SchemaAlgebra::specs(const Conjunction& all) {
  SpecBuilder<Spec> builder(*this);
  std::vector<Spec> result{Spec()};
  for (const Literal& literal : all) {
    G4_ASSIGN_OR_RETURN(const std::vector<Spec> more, builder.of(literal, Annotations::kIgnored));
    G4_ASSIGN_OR_RETURN(result, builder.both(result, more));
  }
  std::vector<Spec> possible;
  for (Spec& spec : result) {
    G4_ASSIGN_OR_RETURN(const bool no, impossible(spec));
    if (!no) possible.push_back(std::move(spec));
  }
  return possible;
}

}  // namespace gemma4::constrain

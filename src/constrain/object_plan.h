// What one alternative for objects says property by property: about those that it names, and about
// all other keys in classes that are treated alike.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "constrain/schema_algebra.h"

namespace gemma4::constrain {

struct ObjectPlan {
  struct Named {
    std::string key;
    Conjunction value;
    bool required = false;
    bool allowed = true;       // by propertyNames
    std::vector<bool> serves;  // by obligation (ObjectSpec::exists)
  };
  struct Class {
    Dfa keys;
    Conjunction value;
    std::vector<bool> serves;
  };

  ObjectSpec spec;
  std::vector<Named> named;  // in the order of the schema
  std::vector<Class> classes;

  // How many properties there have to be at least, as each obligation takes one of its own.
  size_t needed() const { return spec.required.size() + spec.exists.size(); }
  // The value of a property that also serves obligation `index`.
  Conjunction serving(const SchemaAlgebra& algebra, Conjunction value, size_t index) const;
};

class ObjectPlanner {
 public:
  explicit ObjectPlanner(SchemaAlgebra& algebra) : algebra_(algebra) {}

  // Errors, about the schema `place`: kUnsupported where patterns overlap in too many ways.
  Result<ObjectPlan> plan(ObjectSpec spec, SchemaId place) const;

  // The same alternative, with every obligation given to one of its properties: to a named one,
  // which is then required, or to another key. Where the number of properties is limited, one key
  // may take several. Error kUnsupported: too many ways.
  Result<std::vector<ObjectPlan>> assigned(const ObjectPlan& plan, SchemaId place) const;

 private:
  using Class = ObjectPlan::Class;

  Status find_named(ObjectPlan& plan) const;
  Status find_classes(ObjectPlan& plan, SchemaId place) const;
  bool has_no_others(const ObjectPlan& plan) const;
  Status split(std::vector<Class>& classes, const Dfa& by, const std::optional<Literal>& value,
               std::vector<bool>& inside, std::optional<size_t> serves, SchemaId place) const;

  SchemaAlgebra& algebra_;
};

}  // namespace gemma4::constrain

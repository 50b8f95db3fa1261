// From an element type at run time to the C++ type that holds it.
#pragma once

#include <cstdint>

#include "lib/tensor/data_type.h"

namespace narrow {

template <class... Types>
struct TypeList {};

using FloatTypes = TypeList<float, double>;
using IntegerTypes = TypeList<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
using SignedTypes = TypeList<float, double, int8_t, int16_t, int32_t, int64_t>;
using NumberTypes = TypeList<float, double, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
using FixedTypes =
    TypeList<float, double, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t, bool>;

/// Calls body.template operator()<T>() with the element type `type`. False, and no call, if it is not listed.
template <class Body, class... Types>
bool visit_type(TypeList<Types...> /*types*/, DataType type, const Body& body) {
  return ((data_type_of<Types>() == type ? (body.template operator()<Types>(), true) : false) || ...);
}

}  // namespace narrow

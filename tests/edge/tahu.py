"""The message `Payload` of Eclipse Tahu as protobuf itself reads and writes it: the oracle."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
    "bool": _FIELD.TYPE_BOOL,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
}
_MESSAGES: Final = {  # field: number, type; + repeated, | of the one value
    "PropertyValue": "type:1:uint32 is_null:2:bool int_value:3:uint32| long_value:4:uint64|"
    " float_value:5:float| double_value:6:double| boolean_value:7:bool| string_value:8:string|",
    "PropertySet": "keys:1:string+ values:2:PropertyValue+",
    "DataSet": "num_of_columns:1:uint64 columns:2:string+ types:3:uint32+",
    "Metric": "name:1:string alias:2:uint64 timestamp:3:uint64 datatype:4:uint32"
    " is_historical:5:bool is_transient:6:bool is_null:7:bool properties:9:PropertySet"
    " int_value:10:uint32| long_value:11:uint64| float_value:12:float| double_value:13:double|"
    " boolean_value:14:bool| string_value:15:string| bytes_value:16:bytes|"
    " dataset_value:17:DataSet|",
    "Payload": "timestamp:1:uint64 metrics:2:Metric+ seq:3:uint64 uuid:4:string body:5:bytes",
}


@cache
def payload_type() -> Any:  # noqa: ANN401 - protobuf makes it
    """The class of payloads, from its fields."""
    file = descriptor_pb2.FileDescriptorProto(name="tahu.proto", package="tahu", syntax="proto2")
    for name, told in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for part in told.split():
            field, number, kind = part.rstrip("+|").split(":")
            one = message.field.add(name=field, number=int(number))
            one.label = _FIELD.LABEL_REPEATED if part.endswith("+") else _FIELD.LABEL_OPTIONAL
            one.type = _TYPES.get(kind, _FIELD.TYPE_MESSAGE)
            if kind not in _TYPES:
                one.type_name = f".tahu.{kind}"
            if part.endswith("|"):
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                one.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tahu.Payload"))

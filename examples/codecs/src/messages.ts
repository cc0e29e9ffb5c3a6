import type { AvroRecord } from './avro.ts'

export const avroRecords: Readonly<Record<string, AvroRecord>> = {
  'order.placed': {
    type: 'record',
    name: 'OrderPlaced',
    namespace: 'shop',
    fields: [
      { name: 'orderId', type: 'string' },
      { name: 'total', type: 'double' },
      { name: 'note', type: ['null', 'string'] },
    ],
  },
}

export const proto = `
syntax = "proto3";
package shop;
message OrderPlaced {
  string order_id = 1;
  double total = 2;
  int64 customer = 3;
  bytes signature = 4;
}
`
export const protoMessages = { 'order.placed': 'shop.OrderPlaced' }

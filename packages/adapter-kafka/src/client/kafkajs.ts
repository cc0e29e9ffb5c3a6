import kafkajs from 'kafkajs'

/** The client library, to be imported from this room alone. */
export { kafkajs }

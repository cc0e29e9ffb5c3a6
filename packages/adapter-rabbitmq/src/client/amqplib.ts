/** The client library, to be imported from this room alone. */

/** What the rest of the adapter knows of it. */
export type { Channel, ChannelModel, ConfirmChannel, SocketOptions } from 'amqplib'
export { connect, credentials } from 'amqplib'

import fastify from 'fastify'

/** Bare Fastify: the same requests and answers, and nothing done about them. */
const app = fastify()
const answer = { payment_id: 1, user_id: 1, status: 'processing', deposit: 1 }
const response = {
  202: {
    type: 'object',
    properties: {
      payment_id: { type: 'integer' },
      user_id: { type: 'integer' },
      status: { type: 'string' },
      deposit: { type: 'number' },
    },
  },
}
for (const path of ['deposit', 'withdraw']) {
  app.post(`/api/v1/payments/${path}`, { schema: { response } }, (_request, reply) => {
    return reply.code(202).send(answer)
  })
}
app.get('/api/v1/payments/:id', { schema: { response } }, (_request, reply) => {
  return reply.code(202).send(answer)
})
app.get('/livez', () => ({ status: 'ok' }))

process.on('SIGTERM', () => process.exit(0))
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })

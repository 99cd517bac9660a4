import { createServer } from 'node:net'

/**
 * A gateway that charges at once and never fails, over HTTP, at a tenth of the cost of a real
 * server: so that on one machine it is the services that are measured and not their gateway.
 */
const HEAD_END = Buffer.from('\r\n\r\n')

/** A yes that names the key it was asked under, as gateways of `GATEWAY_ECHO=required` do. */
function success(key: string): Buffer {
  const body = `{"status":"success","idempotency_key":"${key}"}`
  return Buffer.from(
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
}

/** How many were charged: the same referee for every worker that is measured. */
let charged = 0

function reply(head: string): Buffer {
  if (head.startsWith('POST')) {
    charged += 1
    return success(/\r\nidempotency-key: *(\S+)/i.exec(head)?.[1] ?? '')
  }
  const text = `gateway_charges_total ${charged}\n`
  return Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
}

const server = createServer({ noDelay: true }, (socket) => {
  let pending = Buffer.alloc(0)
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const end = pending.indexOf(HEAD_END)
      if (end < 0) return
      const head = pending.toString('latin1', 0, end)
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
      const whole = end + HEAD_END.length + length
      if (pending.length < whole) return
      pending = pending.subarray(whole)
      socket.write(reply(head))
    }
  })
})
process.on('SIGTERM', () => process.exit(0))
server.listen(Number(process.env.PORT), '127.0.0.1')

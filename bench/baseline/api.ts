import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { openStore, type Run } from './statements.ts'

/**
 * The API of the baseline: one transaction for each request reads the user and the key and inserts
 * the payment and its transaction; after its commit the task is put in the queue in another one.
 */
const FEE_PERCENT = 2
/** More made it slower on two cores, fewer as well. */
const POOL = 20

const store = openStore(process.env.DATABASE_URL ?? '', POOL)
const app = fastify()

interface Ask {
  readonly user_id: number
  readonly deposit?: number
  readonly amount?: number
}

const body = (field: string) => ({
  type: 'object',
  required: ['user_id', field],
  properties: { user_id: { type: 'integer' }, [field]: { type: 'number', exclusiveMinimum: 0 } },
})
const response = {
  202: {
    type: 'object',
    properties: {
      payment_id: { type: 'integer' },
      user_id: { type: 'integer' },
      status: { type: 'string' },
      deposit: { type: 'number' },
      withdraw: { type: 'number' },
    },
  },
}

type Draft = { type: 'deposit' | 'withdraw'; userId: number; amount: number; key: string | null }
type Verdict = { kind: 'new' | 'replayed'; id: string } | { kind: 'refused'; status: number }

async function create(run: Run, draft: Draft): Promise<Verdict> {
  const commission = Math.round((draft.amount * FEE_PERCENT) / 100)
  const [user] = await run<{ balance: string }>('user', [draft.userId])
  if (user === undefined) return { kind: 'refused', status: 404 }
  if (draft.key !== null) {
    const [earlier] = await run<{ id: string }>('byKey', [draft.userId, draft.key])
    if (earlier !== undefined) return { kind: 'replayed', id: earlier.id }
  }
  if (draft.type === 'withdraw' && Number(user.balance) < draft.amount + commission) {
    return { kind: 'refused', status: 402 }
  }
  const { userId, type, amount, key } = draft
  const [row] = await run<{ id: string }>('insertPayment', [userId, type, amount, commission, key])
  const id = row?.id ?? ''
  await run('insertTransaction', [id, draft.userId, draft.amount])
  return { kind: 'new', id }
}

async function accept(
  request: FastifyRequest<{ Body: Ask }>,
  reply: FastifyReply,
  type: Draft['type'],
): Promise<FastifyReply> {
  const { user_id: userId, deposit, amount } = request.body
  const asked = deposit ?? amount ?? 0
  const header = request.headers['idempotency-key']
  const key = typeof header === 'string' ? header : null
  const draft = { type, userId, amount: Math.round(asked * 100), key }
  const verdict = await store.transaction((run) => create(run, draft))
  if (verdict.kind === 'refused') return reply.code(verdict.status).send({ detail: 'refused' })
  if (verdict.kind === 'new') {
    await store.transaction((run) => run('insertTask', [verdict.id]))
  }
  const answer = { payment_id: Number(verdict.id), user_id: userId, status: 'processing' }
  return reply.code(202).send({ ...answer, [type]: asked })
}

app.post<{ Body: Ask }>(
  '/api/v1/payments/deposit',
  { schema: { body: body('deposit'), response } },
  (request, reply) => accept(request, reply, 'deposit'),
)
app.post<{ Body: Ask }>(
  '/api/v1/payments/withdraw',
  { schema: { body: body('amount'), response } },
  (request, reply) => accept(request, reply, 'withdraw'),
)
app.get('/livez', () => ({ status: 'ok' }))

process.on('SIGTERM', () => process.exit(0))
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })

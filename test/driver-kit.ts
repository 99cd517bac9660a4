import type { Details } from '../src/domain/details.ts'
import type { GatewayCharge, ListCharges } from '../src/ports.ts'

/** What is said about a payment: its method, and perhaps where its payer comes back to. */
export function detailsOf(paymentMethod: string | null, returnUrl: string | null = null): Details {
  return { reference: null, description: null, metadata: null, paymentMethod, returnUrl }
}

/** Everything that a gateway lists, page after page. */
export async function listed(list: ListCharges): Promise<GatewayCharge[]> {
  const charges: GatewayCharge[] = []
  for (let after: number | null = 0; after !== null;) {
    const page: Awaited<ReturnType<ListCharges>> = await list(after)
    charges.push(...page.charges)
    after = page.next
  }
  return charges
}

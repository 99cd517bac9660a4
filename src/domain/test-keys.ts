/** Whether a key of Stripe, or of an organization there, is of the test mode: it moves no money. */
export function isStripeTestKey(secretKey: string): boolean {
  return /^[sr]k_(org_)?test_/.test(secretKey)
}

/** Whether a key of YooKassa is of a test shop or a test gateway, which move no money. */
export function isYookassaTestKey(secretKey: string): boolean {
  return secretKey.startsWith('test_')
}

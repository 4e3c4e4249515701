/** What browsers get for `bellcast/server`, so that a bundle that imports it fails to build instead of leaking the secret. */

export {};

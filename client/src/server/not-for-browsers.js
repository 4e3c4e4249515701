/** The module that browsers get for `bellcast/server`. A bundle that imports it fails to build instead of leaking the secret. */

export {};

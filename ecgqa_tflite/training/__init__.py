"""Training: recipe, images, the fit and what becomes of it. Modules import TensorFlow lazily."""

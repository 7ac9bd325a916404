"""Evaluate a run on test tasks: python evaluate.py --checkpoint_path=runs/mini_1shot"""

from leo_tf.commands.main import evaluate_main

if __name__ == "__main__":
    evaluate_main()
